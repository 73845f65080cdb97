//! An engine: any keeper of the shared counters.

use std::fmt;

use super::take::{Answer, Take};

/// An engine: it answers takes. A new one is finished when it passes the contract in
/// `tests/fleet/contract.rs`.
pub trait Engine {
    /// Answers one take, as [`Answer`] and the promises of [`super`] say.
    ///
    /// # Errors
    /// [`EngineError`] if there is no answer. The take may have been carried out all the same.
    fn take(&mut self, take: &Take) -> Result<Answer, EngineError>;
}

/// Why an engine did not answer a take.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum EngineError {
    /// It has forgotten the script: it was restarted, or another node took over.
    NoScript,
    /// Its memory is full.
    Oom,
    /// It does not accept writes: a replica, or a primary that cannot persist them.
    ReadOnly,
    /// It is a node of a cluster, and another one has the counter.
    Moved,
    /// It does not accept the user and password.
    NoAuth,
    /// The user may not do this.
    NoPermission,
    /// A script runs, or too many clients are connected.
    Busy,
    /// It still reads its data.
    Loading,
    /// Another error.
    Script,
    /// The answer is none that an engine gives.
    Garbage,
    /// The answer is not complete.
    Truncated,
}

impl EngineError {
    /// All of them.
    pub const ALL: [Self; 11] = [
        Self::NoScript,
        Self::Oom,
        Self::ReadOnly,
        Self::Moved,
        Self::NoAuth,
        Self::NoPermission,
        Self::Busy,
        Self::Loading,
        Self::Script,
        Self::Garbage,
        Self::Truncated,
    ];

    /// The word for it in metrics and logs.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::NoScript => "noscript",
            Self::Oom => "oom",
            Self::ReadOnly => "readonly",
            Self::Moved => "moved",
            Self::NoAuth => "noauth",
            Self::NoPermission => "noperm",
            Self::Busy => "busy",
            Self::Loading => "loading",
            Self::Script => "script",
            Self::Garbage => "garbage",
            Self::Truncated => "truncated",
        }
    }
}

impl fmt::Display for EngineError {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.write_str(self.word())
    }
}
