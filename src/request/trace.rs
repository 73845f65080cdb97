//! How a caller came to be known, told as it happens: the filter listens to none of it, an explanation
//! to all.

use super::credential::Identifier;
use crate::policy::attributes::AttributeId;
use crate::policy::directory::Digest;

/// Listens while a caller is identified.
pub trait Trace {
    /// What became of the credential of this number. Of one that was not presented, nothing is told.
    fn credential(&mut self, number: usize, fate: Fate<'_>);
    /// An attribute has this value from here on.
    fn value(&mut self, attribute: AttributeId, value: &[u8], origin: Origin);
    /// An attribute that has another value by what was told before would have this one: nobody is let
    /// in.
    fn conflict(&mut self, attribute: AttributeId, value: &[u8], origin: Origin);
    /// What the source of this number reads for an attribute stands twice.
    fn repeated(&mut self, attribute: AttributeId, source: usize);
}

/// What became of a credential that was presented.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate<'d> {
    /// It stands twice.
    Ambiguous,
    /// An earlier filter has verified it.
    Verified(Option<Identifier>),
    /// The directory has the secret with this digest.
    Known(&'d Digest),
    /// The directory does not have it.
    Unknown(&'d Digest),
    /// The directory does not have it, and another credential says who calls.
    PassedOver,
}

/// Where a value comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The directory's entry of the credential of this number.
    Entry(usize),
    /// The credential of this number itself.
    Credential(usize),
    /// The name of the first credential that was presented.
    First,
    /// The source of this number in the attribute's own list.
    Source(usize),
}

/// Nobody listens.
#[derive(Clone, Copy, Debug)]
pub struct NoTrace;

impl Trace for NoTrace {
    fn credential(&mut self, _: usize, _: Fate<'_>) {}
    fn value(&mut self, _: AttributeId, _: &[u8], _: Origin) {}
    fn conflict(&mut self, _: AttributeId, _: &[u8], _: Origin) {}
    fn repeated(&mut self, _: AttributeId, _: usize) {}
}
