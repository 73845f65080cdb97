//! Failures that neither a client nor an operator causes: the host's, and our own.

use std::fmt;

/// A failure of the host, or of an invariant of ours. The limit's failure mode decides on the
/// request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// A host call returned this status.
    HostStatus(u32),
    /// Other workers wrote the same value first, at every attempt.
    Contended,
    /// A value in shared data does not have its form.
    BadRecord,
    /// A value in shared data would exceed its bound.
    Full,
    /// The host does not let a filter hold a head until its body has been read.
    StopIteration,
    /// A condition did not hold that holds by construction.
    Invariant,
    /// The host has no random numbers.
    Random,
    /// The engine of limits that all proxies share is unavailable.
    Engine,
}

impl Fault {
    /// The names in metrics, a closed set.
    pub const NAMES: [&'static str; 8] = [
        "host_status",
        "contended",
        "bad_record",
        "full",
        "stop_iteration",
        "invariant",
        "random",
        "engine",
    ];

    /// The index of this fault's name in [`Fault::NAMES`].
    #[must_use]
    pub const fn index(self) -> usize {
        match self {
            Self::HostStatus(_) => 0,
            Self::Contended => 1,
            Self::BadRecord => 2,
            Self::Full => 3,
            Self::StopIteration => 4,
            Self::Invariant => 5,
            Self::Random => 6,
            Self::Engine => 7,
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::HostStatus(status) => return write!(f, "host status {status}"),
            Self::Contended => "other workers wrote first at every attempt",
            Self::BadRecord => "a value has an unknown form",
            Self::Full => "a value would exceed its bound",
            Self::StopIteration => "the host does not hold request heads",
            Self::Invariant => "an invariant is broken",
            Self::Random => "no random numbers",
            Self::Engine => "the engine is unavailable",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_fault_has_a_name_and_a_text() {
        let all = [
            (Fault::HostStatus(2), "host_status", "host status 2"),
            (
                Fault::Contended,
                "contended",
                "other workers wrote first at every attempt",
            ),
            (
                Fault::BadRecord,
                "bad_record",
                "a value has an unknown form",
            ),
            (Fault::Full, "full", "a value would exceed its bound"),
            (
                Fault::StopIteration,
                "stop_iteration",
                "the host does not hold request heads",
            ),
            (Fault::Invariant, "invariant", "an invariant is broken"),
            (Fault::Random, "random", "no random numbers"),
            (Fault::Engine, "engine", "the engine is unavailable"),
        ];
        for (index, (fault, name, text)) in all.into_iter().enumerate() {
            assert_eq!(
                (fault.index(), Fault::NAMES[index], fault.to_string()),
                (index, name, text.to_owned())
            );
        }
    }
}
