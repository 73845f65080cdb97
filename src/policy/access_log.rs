//! The content of the access log for a request.

use super::Context;
use super::attributes::{AttributeId, PRESENTED};
use super::language as lang;
use super::reader::MapField;

/// Which lines are also written in parts, each as a string of its own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Parts {
    /// None.
    #[default]
    Never,
    /// Those of requests that are refused.
    Refused,
    /// All.
    Always,
}

/// Reads the attributes, and which lines are written in parts; `Some(None)` without an access log.
pub(super) fn read(
    map: &MapField<'_, lang::Policy>,
    context: &mut Context,
) -> Option<Option<(Vec<AttributeId>, Parts)>> {
    map.read_with(lang::Policy::ACCESS_LOG, |_, map| read_map(&map, context))
}

fn read_map(
    map: &MapField<'_, lang::AccessLog>,
    context: &mut Context,
) -> Option<(Vec<AttributeId>, Parts)> {
    let attributes = map.read_with(lang::AccessLog::ATTRIBUTES, |_, names| {
        names.each(|field, name| {
            if name == PRESENTED {
                return context.attributes.resolve_presented(&field);
            }
            context.attributes.resolve(&field, name)
        })
    });
    let parts = map.read(lang::AccessLog::PARTS);
    map.finish();
    Some((attributes?, parts?))
}
