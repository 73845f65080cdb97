//! Reports how a caller is identified, step by step. The filter ignores these reports; `explain`
//! records them. The trace also decides whether identification continues after a refusal.

use super::credential::Identifier;
use super::identify::AuthFailure;
use crate::base::id::CredentialId;
use crate::base::time::Timestamp;
use crate::policy::attributes::AttributeId;
use crate::policy::directory::Digest;

/// Receives the steps by which a caller is identified.
pub trait Trace {
    /// Reports the outcome of this credential. A credential that was not presented is not reported.
    fn credential(&mut self, id: CredentialId, fate: CredentialOutcome<'_>);
    /// An attribute has this value from here on.
    fn value(&mut self, attribute: AttributeId, value: &[u8], origin: Origin);
    /// The attribute has another value already, so the caller is refused.
    fn conflict(&mut self, attribute: AttributeId, value: &[u8], origin: Origin);
    /// The header or parameter that the source of this number reads for an attribute occurs twice.
    fn repeated(&mut self, attribute: AttributeId, source: usize);
    /// The caller is refused, because of this attribute if there is one.
    ///
    /// # Errors
    /// `why`, unless the trace wants the caller's other attributes all the same.
    fn refuse(
        &mut self,
        why: AuthFailure,
        _attribute: Option<AttributeId>,
    ) -> Result<(), AuthFailure> {
        Err(why)
    }
    /// Whether the attribute got different values, so that it has none.
    fn is_contested(&self, _attribute: AttributeId) -> bool {
        false
    }
}

/// The outcome of a presented credential.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CredentialOutcome<'d> {
    /// It occurs twice.
    Ambiguous,
    /// An earlier filter has verified it.
    Verified(Option<Identifier>),
    /// The directory has the secret with this digest.
    Known(&'d Digest),
    /// The directory does not have it.
    Unknown(&'d Digest),
    /// The directory's entry ended at this instant.
    Expired(&'d Digest, Timestamp),
    /// The directory does not have it, and another credential identifies the caller.
    PassedOver,
}

/// The source of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The directory's entry of this credential.
    Entry(CredentialId),
    /// This credential itself.
    Credential(CredentialId),
    /// The name of the first credential that was presented.
    First,
    /// The source of this number in the attribute's own list.
    Source(usize),
}

/// Goes on with a caller that is refused, and keeps why.
#[derive(Debug)]
pub(super) struct GoOn<'t, T> {
    pub(super) trace: &'t mut T,
    /// The first attribute because of which the caller is refused.
    pub(super) attribute: Option<AttributeId>,
    refused: bool,
    contested: Vec<AttributeId>,
}

impl<'t, T> GoOn<'t, T> {
    pub(super) const fn new(trace: &'t mut T) -> Self {
        Self {
            trace,
            attribute: None,
            refused: false,
            contested: Vec::new(),
        }
    }
}

impl<T: Trace> Trace for GoOn<'_, T> {
    fn credential(&mut self, id: CredentialId, fate: CredentialOutcome<'_>) {
        self.trace.credential(id, fate);
    }

    fn value(&mut self, attribute: AttributeId, value: &[u8], origin: Origin) {
        self.trace.value(attribute, value, origin);
    }

    fn conflict(&mut self, attribute: AttributeId, value: &[u8], origin: Origin) {
        self.contested.push(attribute);
        self.trace.conflict(attribute, value, origin);
    }

    fn repeated(&mut self, attribute: AttributeId, source: usize) {
        self.trace.repeated(attribute, source);
    }

    fn refuse(
        &mut self,
        _: AuthFailure,
        attribute: Option<AttributeId>,
    ) -> Result<(), AuthFailure> {
        if !self.refused {
            (self.refused, self.attribute) = (true, attribute);
        }
        Ok(())
    }

    fn is_contested(&self, attribute: AttributeId) -> bool {
        self.contested.contains(&attribute)
    }
}

/// Keeps no trace.
#[derive(Clone, Copy, Debug)]
pub struct NoTrace;

impl Trace for NoTrace {
    fn credential(&mut self, _: CredentialId, _: CredentialOutcome<'_>) {}
    fn value(&mut self, _: AttributeId, _: &[u8], _: Origin) {}
    fn conflict(&mut self, _: AttributeId, _: &[u8], _: Origin) {}
    fn repeated(&mut self, _: AttributeId, _: usize) {}
}
