//! The credentials of the scheme `Basic` (RFC 7617): a user and a password in padded Base64.

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{GeneralPurpose, GeneralPurposeConfig};

use crate::policy::callers::BasicPart;

/// The part of the credentials in `encoded`; `None` if they are not Base64, or have no colon. The
/// user is everything before the first colon, and the password everything after it.
pub(super) fn part(encoded: &[u8], part: BasicPart) -> Option<Vec<u8>> {
    let mut user = decode(encoded)?;
    let colon = user.iter().position(|byte| *byte == b':')?;
    let mut password = user.split_off(colon);
    password.remove(0);
    Some(match part {
        BasicPart::User => user,
        BasicPart::Password => password,
    })
}

/// Base64 with padding (RFC 4648 §4). Bits after the last byte do not matter.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_allow_trailing_bits(true),
);

fn decode(encoded: &[u8]) -> Option<Vec<u8>> {
    BASE64.decode(encoded).ok()
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_first_colon_ends_the_user() {
        for (text, user, password) in [
            ("Aladdin:open sesame", "Aladdin", "open sesame"),
            ("key:", "key", ""),
            (":key", "", "key"),
            ("a:b:c", "a", "b:c"),
        ] {
            let encoded = STANDARD.encode(text);
            let found = |which| part(encoded.as_bytes(), which);
            assert_eq!(found(BasicPart::User), Some(user.into()), "{text}");
            assert_eq!(found(BasicPart::Password), Some(password.into()), "{text}");
        }
        for encoded in [
            "", "====", "QQ", "QTo", "QQ=A", "QQ==QQ==", "Q=Q=", "QTo_", "a2V5",
        ] {
            assert_eq!(part(encoded.as_bytes(), BasicPart::User), None, "{encoded}");
        }
    }

    proptest! {
        #[test]
        fn what_is_encoded_is_decoded(bytes: Vec<u8>) {
            let decoded = decode(STANDARD.encode(&bytes).as_bytes());
            prop_assert_eq!(decoded.unwrap_or_default(), bytes);
        }

        #[test]
        fn what_is_not_base64_is_nothing(text in "[A-D=\n_-]{0,12}") {
            if let Ok(bytes) = STANDARD.decode(&text)
                && !bytes.is_empty()
            {
                prop_assert_eq!(decode(text.as_bytes()), Some(bytes));
            } else if !text.is_empty() && text.len() % 4 != 0 {
                prop_assert_eq!(decode(text.as_bytes()), None);
            }
        }
    }
}
