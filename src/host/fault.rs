//! Failures that neither a client nor an operator causes: the host's, and our own.

/// The host or an invariant of ours failed. The limit's failure mode decides what follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// A host call answered with a status that it should not have, given by its number.
    HostStatus(u32),
    /// Other workers wrote the same page each time that this one tried.
    Contended,
    /// A page in shared data does not have the form of one.
    BadRecord,
    /// What has a bound in shared data is full.
    Full,
    /// The host does not let a filter hold a head until its body has been read.
    StopIteration,
    /// A condition did not hold that holds by construction.
    Invariant,
}

impl Fault {
    /// The name in metrics; a closed set.
    pub const NAMES: [&'static str; 6] =
        ["host_status", "contended", "bad_record", "full", "stop_iteration", "invariant"];

    /// This fault's place in [`Fault::NAMES`].
    #[must_use]
    pub const fn index(self) -> usize {
        match self {
            Self::HostStatus(_) => 0,
            Self::Contended => 1,
            Self::BadRecord => 2,
            Self::Full => 3,
            Self::StopIteration => 4,
            Self::Invariant => 5,
        }
    }
}
