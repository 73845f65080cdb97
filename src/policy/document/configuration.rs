//! The configuration from the host: a JSON text or a serialized `Struct`, without a label.
//!
//! A `Struct` begins with the byte 0x0a (field 1, a message), which is a line break in a JSON text,
//! and the length after it may look like white space or like `{`. But each entry of a `Struct` has
//! the byte 0x12 before its value (field 2, a message), and a JSON text never contains that byte:
//! it has control characters only escaped. So no bytes can be both, and the bytes show which they
//! are:
//!
//! | bytes | read as |
//! |---|---|
//! | nothing but ASCII white space | no policy |
//! | begin with 0x0a and have a 0x12 | a `Struct` |
//! | begin, after white space, with `{` | JSON |
//! | anything else (YAML, for one) | neither |

use super::{Node, Rule, SyntaxError, from_json, from_struct};

const ENTRY_TAG: u8 = 0x0a;
const VALUE_TAG: u8 = 0x12;

/// Reads the plugin's configuration, as the host hands it over.
///
/// # Errors
/// Those of [`from_json`] and [`from_struct`]; of nothing, [`Rule::EmptyConfiguration`]; of
/// anything else, [`Rule::UnknownForm`].
pub fn from_configuration(bytes: &[u8]) -> Result<Node, SyntaxError> {
    let text = bytes
        .strip_prefix(super::BYTE_ORDER_MARK)
        .unwrap_or(bytes)
        .trim_ascii_start();
    if text.is_empty() {
        return Err(Rule::EmptyConfiguration.at_position(0, 0));
    }
    if bytes.first() == Some(&ENTRY_TAG) && bytes.contains(&VALUE_TAG) {
        return from_struct(bytes);
    }
    if text.first() == Some(&b'{') {
        from_json(bytes)
    } else {
        Err(Rule::UnknownForm.at_position(0, 0))
    }
}
