//! One message to the receiver: fixed in the table until it is accepted.

/// A batch, as the nanoseconds of Unix time between which its requests were counted. `to` names it:
/// no two batches of one proxy end at one instant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Batch {
    /// From here on.
    pub from: u64,
    /// Up to here.
    pub to: u64,
}
