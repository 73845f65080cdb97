//! The labels of events between a proxy and the engine.

use crate::base::id::LimitId;
use crate::base::time::Span;
use crate::fleet::engine::EngineError;

/// One thing that happened between this proxy and the engine of limits that all proxies share.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EngineEvent {
    /// A request waits for units of this limit.
    Wait(LimitId),
    /// A request no longer waits.
    Waited(Span),
    /// A call has ended.
    Call(EngineOutcome),
    /// The engine is asked about one counter of this limit.
    Take(LimitId),
    /// Units of leases changed hands.
    Units {
        /// The limit.
        limit: LimitId,
        /// Their outcome.
        outcome: LeaseUnits,
        /// The number of units.
        units: u64,
    },
    /// A limit decided without the engine.
    Fallback {
        /// The limit.
        limit: LimitId,
        /// How.
        mode: Fallback,
    },
    /// The number of workers that do not wait for the engine changed.
    Open {
        /// The difference.
        by: i64,
    },
}

/// How a call to the engine ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EngineOutcome {
    /// Every take was answered.
    Ok,
    /// No answer arrived in time.
    Timeout,
    /// There was no connection, or it was closed without an answer.
    Unavailable,
    /// Envoy allows no more connections or requests to the cluster.
    Overflow,
    /// The engine does not know the script, which is sent with the next call; or the script failed.
    Script,
    /// The engine answered with an error, or with bytes that are not an answer.
    Refused,
}

impl EngineOutcome {
    /// All outcomes.
    pub const ALL: [Self; 6] = [
        Self::Ok,
        Self::Timeout,
        Self::Unavailable,
        Self::Overflow,
        Self::Script,
        Self::Refused,
    ];

    /// Of a call whose answer has this error.
    #[must_use]
    pub const fn of(error: EngineError) -> Self {
        match error {
            EngineError::NoScript | EngineError::Script => Self::Script,
            EngineError::Oom
            | EngineError::ReadOnly
            | EngineError::Moved
            | EngineError::NoAuth
            | EngineError::NoPermission
            | EngineError::Busy
            | EngineError::Loading
            | EngineError::Garbage
            | EngineError::Truncated => Self::Refused,
        }
    }

    /// The name in metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Timeout => "timeout",
            Self::Unavailable => "unavailable",
            Self::Overflow => "overflow",
            Self::Script => "script",
            Self::Refused => "refused",
        }
    }
}

/// The outcome of units.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LeaseUnits {
    /// The engine granted them.
    Granted,
    /// They went back.
    Returned,
    /// The engine charged them, although they were not spent.
    Lapsed,
}

impl LeaseUnits {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Granted, Self::Returned, Self::Lapsed];

    /// The name in metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Granted => "granted",
            Self::Returned => "returned",
            Self::Lapsed => "lapsed",
        }
    }
}

/// How a limit decides without the engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fallback {
    /// It admits.
    Allow,
    /// It refuses.
    Deny,
    /// It counts on its own.
    Local,
}

impl Fallback {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Allow, Self::Deny, Self::Local];

    /// The name in metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Deny => "deny",
            Self::Local => "local",
        }
    }
}
