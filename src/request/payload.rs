//! The requirements on a request's body: of the payload limit that applies to it, and of the limits
//! whose cost it states.

use super::head::Request;
use super::identify::Caller;
use crate::base::id::PayloadId;
use crate::base::invariant::invariant;
use crate::limit::Cost;
use crate::payload::body::{Reason, Rejection, Requirements};
use crate::policy::Policy;
use crate::policy::costs::{CostSource, Settlement};
use crate::policy::payloads::{Bounds, Payload};
use crate::store::LimitCheck;

/// The payload limit that applies to a request.
#[derive(Clone, Copy, Debug)]
pub struct MatchedPayload<'p> {
    /// Its id.
    pub id: PayloadId,
    /// The limit.
    pub payload: &'p Payload,
    /// The number of the override that the caller has.
    pub overridden: Option<usize>,
    /// The bounds for this caller.
    pub bounds: &'p Bounds,
}

impl<'p> MatchedPayload<'p> {
    /// The payload limit with this id, for `caller`.
    #[must_use]
    pub fn of(id: PayloadId, caller: &Caller<'_>, policy: &'p Policy) -> Option<Self> {
        let payload = invariant(
            policy.payloads.get(id),
            "a payload limit that applies is in the policy",
        )?;
        let overridden = payload
            .overrides
            .first(|attribute| caller.selected(attribute));
        let bounds = overridden
            .and_then(|number| payload.overrides.all().get(number))
            .unwrap_or(&payload.bounds);
        Some(Self {
            id,
            payload,
            overridden,
            bounds,
        })
    }
}

/// The requirements on the body; `None` if there are none.
#[must_use]
pub fn requirements(
    matched: Option<MatchedPayload<'_>>,
    request: &Request,
    policy: &Policy,
    checks: &[LimitCheck],
) -> Option<Requirements> {
    let mut required = Requirements::default();
    if let Some(MatchedPayload {
        payload, bounds, ..
    }) = matched
    {
        required.bytes = bounds.bytes;
        required.decoded_bytes = bounds.decoded_bytes;
        required.json = bounds
            .json
            .clone()
            .filter(|_| payload.reads_as_json(request.headers.all("content-type")));
    }
    let mut states_cost = false;
    for check in checks {
        let Cost::Reserved(_) = check.cost else {
            continue;
        };
        let limit = policy.limit(check.owner);
        let cost = limit.and_then(|limit| limit.costs.get(check.cost_number));
        match cost.and_then(CostSource::settlement) {
            Some(Settlement::Bytes) => states_cost = true,
            Some(Settlement::Lines) => (states_cost, required.lines) = (true, true),
            Some(Settlement::Items(at)) => {
                states_cost = true;
                required.items.push(at.clone());
            }
            Some(Settlement::ResponseHeader(_)) | None => {}
        }
    }
    (matched.is_some() || states_cost).then_some(required)
}

/// Whether the head alone says that the body is larger than it may be.
///
/// # Errors
/// It does.
pub fn check_length(required: &Requirements, request: &Request) -> Result<(), Rejection> {
    let over = |max: &u64| request.content_length().is_some_and(|length| length > *max);
    match required.bytes.filter(over) {
        Some(max) => Err(Rejection {
            reason: Reason::Bytes,
            max: Some(max),
        }),
        None => Ok(()),
    }
}
