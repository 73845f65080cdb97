//! The algorithms: pure functions of a rule, a state, the time and a cost.

pub mod gcra;
pub mod period;

use crate::base::time::Span;

/// One limit's answer to one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// The request fits.
    Admit {
        /// Units left after this request.
        remaining: u64,
        /// How long until all units are back.
        full_in: Span,
    },
    /// The request does not fit yet.
    Deny {
        /// The shortest wait after which it fits, if nobody else takes what comes back.
        retry_after: Span,
        /// How long until all units are back.
        full_in: Span,
    },
    /// The request asks for more than the limit ever holds: no wait helps.
    NeverFits,
}

impl Decision {
    /// Whether the request fits now.
    #[must_use]
    pub const fn admits(&self) -> bool {
        matches!(self, Self::Admit { .. })
    }
}

/// What to do with a request where a limit's state cannot be had.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FailureMode {
    /// Let it through: the API matters more than the limit.
    #[default]
    Allow,
    /// Refuse it: the limit matters more than the API.
    Deny,
}
