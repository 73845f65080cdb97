//! One line for the access log: `decision=refused limit=standard tier=standard org=acme policy=demo
//! revision=3f2a9c1d`.
//!
//! The line has the fields that the policy asks for and no others. A credential appears as its
//! identifier, never as its secret. Values can come from a path, so characters that could end a
//! value are percent-encoded.

use percent_encoding::{AsciiSet, CONTROLS, percent_encode};

use super::DecisionLabel;
use crate::base::id::TierId;
use crate::limit::Rule;
use crate::policy::Policy;
use crate::policy::access_log::Parts;
use crate::policy::attributes::AttributeId;
use crate::request::identify::{AuthFailure, Caller, Refused};
use crate::store::{EngineAccess, LimitCheck};

/// The key of the filter state: `%FILTER_STATE(wasm.sluicegate:PLAIN)%`.
pub const KEY: &str = "sluicegate";

const NOT_PLAIN: &AsciiSet = &CONTROLS.add(b' ').add(b'"').add(b'%').add(b'=').add(b'\\');
const VALUE_BYTES_MAX: usize = 256;
/// The usual size of a line, reserved so that it rarely grows.
const LINE_BYTES_USUAL: usize = 256;

/// The fields of the line for one request.
#[derive(Clone, Copy, Debug)]
pub struct Line<'a> {
    /// The decision on the request.
    pub decision: DecisionLabel,
    /// The name of the limit that decided, or that has the fewest requests left; `None` if there is
    /// none.
    pub limit: Option<&'a str>,
    /// The request's tier.
    pub tier: Option<TierId>,
    /// How the units of limits that all proxies share were had; `None` if none was asked.
    pub engine: Option<EngineUse>,
    /// The caller.
    pub caller: &'a Caller<'a>,
}

impl Line<'_> {
    /// The line as a new text; `None` if the policy wants no lines.
    #[must_use]
    pub fn to_text(self, policy: &Policy) -> Option<String> {
        let attributes = policy.access_log.as_ref()?;
        let mut text = String::new();
        self.write(&mut text, policy, attributes);
        Some(text)
    }

    /// Replaces `text` by the line.
    pub fn write(self, text: &mut String, policy: &Policy, attributes: &[AttributeId]) {
        let Line {
            decision,
            limit,
            tier,
            engine,
            caller,
        } = self;
        let tier = tier
            .and_then(|tier| policy.tiers.get(tier))
            .map(|tier| &*tier.name);
        text.clear();
        text.reserve(LINE_BYTES_USUAL);
        let decision = decision.name();
        for part in [
            "decision=",
            decision,
            " limit=",
            limit.unwrap_or("-"),
            " tier=",
            tier.unwrap_or("-"),
        ] {
            text.push_str(part);
        }
        match caller.cached() {
            Some(cached) => text.push_str(cached.log_text(|| {
                let mut values = String::with_capacity(LINE_BYTES_USUAL);
                push_attributes(&mut values, policy, attributes, caller);
                values.into()
            })),
            None => push_attributes(text, policy, attributes, caller),
        }
        if let Some(engine) = engine {
            text.push_str(" engine=");
            text.push_str(engine.name());
        }
        for part in [" policy=", &*policy.name, " revision=", &*policy.revision] {
            text.push_str(part);
        }
    }
}

/// How the units of limits that all proxies share were had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EngineUse {
    /// By leases: the request did not wait.
    Lease,
    /// The request waited for the engine.
    Asked,
    /// The engine was unavailable, and the limit decided without it.
    Fallback,
}

impl EngineUse {
    /// Of a request with these checks; `None` without limits that all proxies share.
    #[must_use]
    pub fn of(checks: &[LimitCheck], has_waited: bool) -> Option<Self> {
        let falls_back = |check: &LimitCheck| check.access == EngineAccess::FellBack;
        let is_shared = |check: &LimitCheck| matches!(check.rule, Rule::Lease(_));
        if checks.iter().any(falls_back) {
            Some(Self::Fallback)
        } else if !checks.iter().any(is_shared) {
            None
        } else if has_waited {
            Some(Self::Asked)
        } else {
            Some(Self::Lease)
        }
    }

    /// The name in the line.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Lease => "lease",
            Self::Asked => "asked",
            Self::Fallback => "fallback",
        }
    }
}

/// Replaces `text` by the line of a request that is answered with a 401. It has the known
/// attributes of the caller all the same, and states which attribute has two values, or a source
/// that occurs more than once.
pub fn unauthorized(
    text: &mut String,
    policy: &Policy,
    attributes: &[AttributeId],
    tier: Option<TierId>,
    why: AuthFailure,
    refused: &Refused<'_>,
) {
    let line = Line {
        decision: DecisionLabel::Refused,
        limit: None,
        tier,
        engine: None,
        caller: &refused.caller,
    };
    line.write(text, policy, attributes);
    if let (AuthFailure::Ambiguous | AuthFailure::Conflicting, Some(attribute)) =
        (why, refused.attribute)
    {
        for part in [" ", why.name(), "=", policy.attributes.name(attribute)] {
            text.push_str(part);
        }
    }
}

/// The parts of a line, if they are wanted: their names and values.
pub fn parts(line: &str, wanted: Parts) -> impl Iterator<Item = (&str, &str)> {
    let decision = || line.split([' ', '=']).nth(1);
    let refused = [
        DecisionLabel::Refused,
        DecisionLabel::Denied,
        DecisionLabel::Reset,
    ];
    let is_wanted = match wanted {
        Parts::Never => false,
        Parts::Refused => refused.iter().any(|it| Some(it.name()) == decision()),
        Parts::Always => true,
    };
    let parts = is_wanted.then(|| line.split(' '));
    parts
        .into_iter()
        .flatten()
        .filter_map(|part| part.split_once('='))
}

fn push_attributes(
    text: &mut String,
    policy: &Policy,
    attributes: &[AttributeId],
    caller: &Caller<'_>,
) {
    for attribute in attributes {
        text.push(' ');
        text.push_str(policy.attributes.name(*attribute));
        text.push('=');
        push_value(text, caller.value(*attribute));
    }
}

/// Appends a value, cut to a bound and so that it cannot end early; `-` for none.
pub fn push_value(text: &mut String, value: Option<&[u8]>) {
    match value {
        Some(value) => {
            let value = value.get(..VALUE_BYTES_MAX).unwrap_or(value);
            text.extend(percent_encode(value, NOT_PLAIN));
        }
        None => text.push('-'),
    }
}
