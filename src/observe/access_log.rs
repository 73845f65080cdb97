//! One line for the access log: `decision=refused limit=standard tier=standard org=acme`.
//!
//! It says what the policy asked for and no more. A credential is there as its identifier, never
//! as its secret. Values can come from a path, so what is not plain is percent-encoded.

use percent_encoding::{AsciiSet, CONTROLS, percent_encode};

use super::DecisionLabel;
use crate::base::id::TierId;
use crate::policy::Policy;
use crate::policy::attributes::AttributeId;
use crate::request::identify::{AuthFailure, Caller, Refused};

/// The key of the filter state: `%FILTER_STATE(wasm.sluicegate:PLAIN)%`.
pub const KEY: &str = "sluicegate";

const NOT_PLAIN: &AsciiSet = &CONTROLS.add(b' ').add(b'"').add(b'%').add(b'=').add(b'\\');
const VALUE_BYTES_MAX: usize = 256;
/// What a line takes, so that it need not grow.
const LINE_BYTES_USUAL: usize = 256;

/// The line for a request that the limit called `limit` refuses, or that is refused for its path;
/// `None` where no line is wanted.
#[must_use]
pub fn refused(policy: &Policy, limit: Option<&str>, tier: Option<TierId>, caller: &Caller<'_>) -> Option<String> {
    let attributes = policy.access_log.as_ref()?;
    let mut line = String::new();
    write(&mut line, policy, attributes, DecisionLabel::Refused, limit, tier, Some(caller));
    Some(line)
}

/// Writes the line for a request that is answered with a 401, in place of what was there: it says what is
/// known of the caller all the same, and which attribute has two values, or a source that stands twice.
pub fn unauthorized(
    line: &mut String,
    policy: &Policy,
    attributes: &[AttributeId],
    tier: Option<TierId>,
    why: AuthFailure,
    refused: &Refused<'_>,
) {
    write(line, policy, attributes, DecisionLabel::Refused, None, tier, Some(&refused.caller));
    if let (AuthFailure::Ambiguous | AuthFailure::Conflicting, Some(attribute)) = (why, refused.attribute) {
        for part in [" ", why.name(), "=", policy.attributes.name(attribute)] {
            line.push_str(part);
        }
    }
}

/// Writes the line for one request in place of what was there.
pub fn write(
    line: &mut String,
    policy: &Policy,
    attributes: &[AttributeId],
    decision: DecisionLabel,
    limit: Option<&str>,
    tier: Option<TierId>,
    caller: Option<&Caller<'_>>,
) {
    let tier = tier.and_then(|tier| policy.tiers.get(tier)).map(|tier| &*tier.name);
    line.clear();
    line.reserve(LINE_BYTES_USUAL);
    let decision = decision.name();
    for part in ["decision=", decision, " limit=", limit.unwrap_or("-"), " tier=", tier.unwrap_or("-")] {
        line.push_str(part);
    }
    let tell = |line: &mut String| tell_of(line, policy, attributes, caller);
    match caller.and_then(Caller::cached) {
        Some(regular) => line.push_str(regular.told(|| {
            let mut told = String::with_capacity(LINE_BYTES_USUAL);
            tell(&mut told);
            told.into()
        })),
        None => tell(line),
    }
}

fn tell_of(line: &mut String, policy: &Policy, attributes: &[AttributeId], caller: Option<&Caller<'_>>) {
    for attribute in attributes {
        line.push(' ');
        line.push_str(policy.attributes.name(*attribute));
        line.push('=');
        match caller.and_then(|caller| caller.value(*attribute)) {
            Some(value) => {
                let value = value.get(..VALUE_BYTES_MAX).unwrap_or(value);
                line.extend(percent_encode(value, NOT_PLAIN));
            }
            None => line.push('-'),
        }
    }
}
