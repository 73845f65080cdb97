//! From credentials to a caller: the attributes of the sender of a request.

use std::borrow::Cow;

use super::attributes::{resolve_attributes, resolve_without_credentials};
use super::audit::{GoOn, NoTrace, Origin, Trace};
use super::caller_cache::CachedCaller;
use super::credential::Identifier;
use super::head::Request;
use super::present::present;
use crate::base::time::Timestamp;
use crate::policy::Policy;
use crate::policy::attributes::{AttributeId, Attributes, NO_CREDENTIAL};

/// A caller: the values of the policy's attributes, as far as it has them.
#[derive(Debug)]
pub struct Caller<'r> {
    values: Values<'r>,
    /// The first instant at which one of its secrets is unknown.
    until: Option<Timestamp>,
}

#[derive(Debug)]
enum Values<'r> {
    Found(Vec<Option<Value<'r>>>),
    Recalled(&'r CachedCaller),
}

/// The values of a caller, for as long as they are wanted.
pub(super) type KeptValues = Box<[Option<Value<'static>>]>;

/// The value of an attribute.
#[derive(Clone, Debug)]
pub(super) enum Value<'r> {
    Text(Cow<'r, [u8]>),
    Identifier(Identifier),
}

/// Why a request is refused: a closed set, for metrics and the access log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AuthFailure {
    /// No credential was presented.
    Absent,
    /// A credential is not in the directory.
    Unknown,
    /// A credential was presented twice.
    Ambiguous,
    /// Two credentials belong to different callers.
    Conflicting,
}

impl AuthFailure {
    /// All of them.
    pub const ALL: [Self; 4] = [
        Self::Absent,
        Self::Unknown,
        Self::Ambiguous,
        Self::Conflicting,
    ];

    /// The name in metrics and details.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Absent => "absent",
            Self::Unknown => "unknown",
            Self::Ambiguous => "ambiguous",
            Self::Conflicting => "conflicting",
        }
    }
}

impl<'r> Caller<'r> {
    /// The value of an attribute, if the caller has it.
    #[must_use]
    pub fn value(&self, attribute: AttributeId) -> Option<&[u8]> {
        self.known(attribute).map(Value::bytes)
    }

    /// The value that selectors compare: of `credential`, `none` if no credential is accepted.
    #[must_use]
    pub fn selected(&self, attribute: AttributeId) -> Option<&[u8]> {
        let value = self.value(attribute);
        if attribute == Attributes::CREDENTIAL {
            return value.or(Some(NO_CREDENTIAL.as_bytes()));
        }
        value
    }

    /// A caller without attributes.
    pub(super) fn unknown(policy: &Policy) -> Self {
        Self {
            values: Values::Found(vec![None; policy.attributes.count()]),
            until: None,
        }
    }

    /// The callers identified before.
    pub(super) const fn recalled(regular: &'r CachedCaller) -> Self {
        Self {
            values: Values::Recalled(regular),
            until: regular.until,
        }
    }

    /// The first instant at which one of the caller's secrets is unknown.
    pub(super) const fn until(&self) -> Option<Timestamp> {
        self.until
    }

    pub(super) fn ends_by(&mut self, until: Option<Timestamp>) {
        self.until = [self.until, until].into_iter().flatten().min();
    }

    /// The cached caller, if there is one.
    #[must_use]
    pub const fn cached(&self) -> Option<&'r CachedCaller> {
        if let Values::Recalled(regular) = &self.values {
            Some(regular)
        } else {
            None
        }
    }

    /// All values, and the bytes that they take.
    pub(super) fn values(&self) -> (KeptValues, usize) {
        let values = self.all();
        let bytes = values
            .iter()
            .flatten()
            .map(|value| value.bytes().len())
            .sum();
        (
            values
                .iter()
                .map(|value| value.as_ref().map(Value::kept))
                .collect(),
            bytes,
        )
    }

    fn all(&self) -> &[Option<Value<'r>>] {
        match &self.values {
            Values::Found(values) => values,
            Values::Recalled(regular) => &regular.values,
        }
    }

    /// The value as it is known so far.
    pub(super) fn known(&self, attribute: AttributeId) -> Option<&Value<'r>> {
        self.all().get(attribute.index())?.as_ref()
    }

    /// Sets a value, or removes it.
    pub(super) fn set(&mut self, attribute: AttributeId, value: Option<Value<'r>>) {
        if let Values::Found(values) = &mut self.values
            && let Some(place) = values.get_mut(attribute.index())
        {
            *place = value;
        }
    }

    /// Sets a value; an error if another one is set.
    pub(super) fn set_or_conflict(
        &mut self,
        attribute: AttributeId,
        value: Value<'r>,
        origin: Origin,
        trace: &mut impl Trace,
    ) -> Result<(), AuthFailure> {
        match self.known(attribute) {
            Some(known) if known.bytes() != value.bytes() => {
                trace.conflict(attribute, value.bytes(), origin);
                trace.refuse(AuthFailure::Conflicting, Some(attribute))?;
                self.set(attribute, None);
            }
            _ if trace.is_contested(attribute) => {}
            Some(_) | None => {
                trace.value(attribute, value.bytes(), origin);
                self.set(attribute, Some(value));
            }
        }
        Ok(())
    }
}

impl Value<'_> {
    fn kept(&self) -> Value<'static> {
        match self {
            Self::Text(text) => Value::Text(Cow::Owned(text.to_vec())),
            Self::Identifier(digits) => Value::Identifier(*digits),
        }
    }

    pub(super) fn bytes(&self) -> &[u8] {
        match self {
            Self::Text(text) => text,
            Self::Identifier(digits) => digits,
        }
    }
}

/// Identifies the caller of `request`.
///
/// # Errors
/// Why the policy does not let it in.
pub fn identify<'r>(request: &'r Request, policy: &'r Policy) -> Result<Caller<'r>, AuthFailure> {
    identify_traced(request, policy, &mut NoTrace)
}

/// As [`identify`], and reports each step to `trace`.
///
/// # Errors
/// As [`identify`].
pub(crate) fn identify_traced<'r>(
    request: &'r Request,
    policy: &'r Policy,
    trace: &mut impl Trace,
) -> Result<Caller<'r>, AuthFailure> {
    let mut caller = Caller::unknown(policy);
    let asked = is_asked(request, policy);
    let presented = if asked {
        Some(present(&mut caller, request, policy, trace)?)
    } else {
        None
    };
    resolve_attributes(&mut caller, presented, request, policy, trace)?;
    Ok(caller)
}

/// The sender of a request that is about to receive a 401, for the limits on such requests: the
/// attributes that are known without a credential, and the identifier of the secret that `suspect`
/// presents.
#[must_use]
pub fn without_credentials<'r>(
    request: &'r Request,
    policy: &'r Policy,
    suspect: &Caller<'r>,
) -> Caller<'r> {
    let mut caller = Caller::unknown(policy);
    resolve_without_credentials(&mut caller, request, policy);
    if let Some(presented) = policy.attributes.presented() {
        caller.set(presented, suspect.known(presented).cloned());
    }
    caller
}

/// A caller that is refused, as far as it is known.
#[derive(Debug)]
pub struct Refused<'r> {
    /// The values of all attributes of which no two differ.
    pub caller: Caller<'r>,
    /// The attribute because of which it is refused: of the credential that is unknown or occurs
    /// twice, or the one that has two values or a source that occurs twice.
    pub attribute: Option<AttributeId>,
}

/// The sender of `request`, which [`identify`] refuses, as far as it is known.
#[must_use]
pub fn suspect<'r>(request: &'r Request, policy: &'r Policy) -> Refused<'r> {
    suspect_traced(request, policy, &mut NoTrace)
}

/// As [`suspect`], and reports each step to `trace`.
pub(crate) fn suspect_traced<'r>(
    request: &'r Request,
    policy: &'r Policy,
    trace: &mut impl Trace,
) -> Refused<'r> {
    let mut go_on = GoOn::new(trace);
    // A caller that passes here is admitted.
    let caller =
        identify_traced(request, policy, &mut go_on).unwrap_or_else(|_| Caller::unknown(policy));
    Refused {
        caller,
        attribute: go_on.attribute,
    }
}

/// Whether the sender of `request` must identify itself: in one reading of its path is enough.
#[must_use]
pub(crate) fn is_asked(request: &Request, policy: &Policy) -> bool {
    if policy.callers.credentials.is_empty() {
        return false;
    }
    policy.callers.routes.as_ref().is_none_or(|routes| {
        request
            .readings()
            .any(|reading| routes.iter().any(|id| reading.matches.contains(*id)))
    })
}
