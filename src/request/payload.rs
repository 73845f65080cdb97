//! What is to be known of a request's body: by the payload limit that holds for it, and by the limits
//! that it costs units of.

use super::head::{Reading, Request};
use super::identify::Caller;
use super::select::{exempt, holds, look};
use crate::base::id::{Id as _, PayloadId};
use crate::base::path::Ambiguity;
use crate::limit::Cost;
use crate::payload::body::{Reason, Rejection, Requirements};
use crate::policy::Policy;
use crate::policy::limits::CostSource;
use crate::policy::payloads::{Bounds, Payload};
use crate::store::LimitCheck;

/// The payload limit that holds for a request.
#[derive(Clone, Copy, Debug)]
pub struct Holding<'p> {
    /// Its id.
    pub id: PayloadId,
    /// The limit.
    pub payload: &'p Payload,
    /// The number of the override that the caller has.
    pub overridden: Option<usize>,
    /// What it allows this caller.
    pub bounds: &'p Bounds,
}

/// The payload limit that holds for a request, if it is not exempt: the first that selects it.
pub fn holding<'p>(
    request: &Request,
    caller: &Caller<'_>,
    policy: &'p Policy,
    numbers: &mut Vec<u16>,
) -> Option<Holding<'p>> {
    holding_in(request.readings().next()?, caller, policy, numbers)
}

/// Why no reading of the request's path is safe, if so. Two payload limits cannot hold at a time, so
/// all readings must have the same.
pub fn ambiguity(request: &Request, caller: &Caller<'_>, policy: &Policy, numbers: &mut Vec<u16>) -> Option<Ambiguity> {
    if request.others.is_empty() {
        return request.ambiguity;
    }
    let mut readings = request.readings();
    let mut number = |reading| holding_in(reading, caller, policy, numbers).map(|holding| holding.id);
    let first = number(readings.next()?);
    readings.any(|other| number(other) != first).then_some(Ambiguity::Payload)
}

fn holding_in<'p>(
    reading: Reading<'_>,
    caller: &Caller<'_>,
    policy: &'p Policy,
    numbers: &mut Vec<u16>,
) -> Option<Holding<'p>> {
    if policy.payloads.is_empty() || exempt(reading, caller, policy, numbers).is_some() {
        return None;
    }
    look(&policy.payload_candidates, reading, caller, numbers);
    let ids = numbers.iter().map(|number| PayloadId::new(*number));
    let mut all = ids.filter_map(|id| Some((id, policy.payloads.get(id)?)));
    let (id, payload) = all.find(|(_, payload)| holds(&payload.scope.selector, reading, caller))?;
    let overridden = payload.overrides.first(|attribute| caller.value(attribute));
    let bounds = overridden.and_then(|number| payload.overrides.all().get(number)).unwrap_or(&payload.bounds);
    Some(Holding { id, payload, overridden, bounds })
}

/// What is to be known of the body; `None` where nobody wants to know anything.
#[must_use]
pub fn wanted(
    policy: &Policy,
    holding: Option<Holding<'_>>,
    request: &Request,
    checks: &[LimitCheck],
) -> Option<Requirements> {
    let mut wanted = Requirements::default();
    if let Some(Holding { payload, bounds, .. }) = holding {
        wanted.bytes = bounds.bytes;
        wanted.decoded_bytes = bounds.decoded_bytes;
        wanted.json = bounds.json.clone().filter(|_| payload.reads_as_json(request.headers.all("content-type")));
    }
    let mut late = false;
    for check in checks.iter().filter(|check| check.cost == Cost::Later) {
        match policy.limit(check.owner).map(|limit| &limit.cost) {
            Some(CostSource::Bytes) => late = true,
            Some(CostSource::Lines) => (late, wanted.lines) = (true, true),
            Some(CostSource::Items(at)) => {
                late = true;
                wanted.items.push(at.clone());
            }
            Some(CostSource::Fixed(_) | CostSource::Header(_) | CostSource::ResponseHeader(_)) | None => {}
        }
    }
    (holding.is_some() || late).then_some(wanted)
}

/// Whether the head alone says that the body is larger than it may be.
///
/// # Errors
/// It does.
pub fn check_length(wanted: &Requirements, request: &Request) -> Result<(), Rejection> {
    let over = |max: &u64| request.content_length().is_some_and(|length| length > *max);
    match wanted.bytes.filter(over) {
        Some(max) => Err(Rejection { reason: Reason::Bytes, max: Some(max) }),
        None => Ok(()),
    }
}
