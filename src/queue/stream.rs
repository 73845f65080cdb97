//! Streams, their requests for slots, and the answers.

use std::rc::Rc;

use super::live::LivePool;
use crate::host::fault::Fault;
use crate::limit::pool::Pool;
use crate::limit::{Enforcement, FailureMode};
use crate::store::key::Key;

/// A stream's context at the host: its number is not given again while the VM lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StreamId(pub u32);

/// A slot that a stream needs.
#[derive(Clone, Debug)]
pub struct SlotRequest {
    /// The pool.
    pub pool: Rc<LivePool>,
    /// The limits of the caller, if they are other than those of the pool.
    pub own: Option<Pool>,
    /// The key of the slots.
    pub key: Key,
    /// The failure mode of the pool.
    pub failure: FailureMode,
    /// Whether the pool may refuse. One in shadow has no queue, and comes before all that may.
    pub enforcement: Enforcement,
}

impl SlotRequest {
    /// The limits that apply to the stream.
    pub(super) fn limits(&self) -> Pool {
        self.own.unwrap_or(self.pool.limits())
    }
}

/// The answer of a pool about one slot, when a stream asked for its slots.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Note {
    /// The stream has the slot.
    Granted {
        /// The index of the request among those of the stream.
        request: usize,
        /// Slots that are free after that.
        free: u32,
    },
    /// The pool would have refused the stream, and is in shadow.
    WouldRefuse {
        /// The index of the request.
        request: usize,
    },
}

/// The answer to a stream that asks for its slots.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    /// It has all its slots.
    Admit,
    /// It waits until an [`Action`] answers it.
    Wait,
    /// It is refused.
    Refuse(Refusal),
}

/// Which pool refused, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Its index among the slot requests of the stream.
    pub pool: usize,
    /// The reason.
    pub reason: Reason,
}

/// Why a pool refuses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// Slots and queue were full.
    QueueFull,
    /// The request waited for the pool's timeout.
    QueueTimeout,
    /// The pool could not be read, and its failure mode is `deny`.
    Unavailable(Fault),
}

impl Reason {
    /// All reasons, with any fault.
    pub const ALL: [Self; 3] = [
        Self::QueueFull,
        Self::QueueTimeout,
        Self::Unavailable(Fault::Full),
    ];

    /// The name in metrics and in replies.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::QueueFull => "queue_full",
            Self::QueueTimeout => "queue_timeout",
            Self::Unavailable(_) => "unavailable",
        }
    }

    /// The index in [`Reason::ALL`].
    #[must_use]
    pub const fn index(self) -> usize {
        match self {
            Self::QueueFull => 0,
            Self::QueueTimeout => 1,
            Self::Unavailable(_) => 2,
        }
    }
}

/// The answer to one stream that waits; there is exactly one for each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Action {
    /// The stream.
    pub stream: StreamId,
    /// The answer to it.
    pub answer: Answer,
}

/// The answer to a stream that waited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It has all its slots, and continues.
    Resume,
    /// It is refused.
    Refuse(Refusal),
}
