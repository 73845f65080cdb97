//! The payload limit of the request.

use super::explanation::Payload;
use super::limits::{View, enforcement};
use crate::base::id::Id as _;
use crate::limit::Enforcement;
use crate::payload::body::BodyMeter;
use crate::payload::memory::Budget;
use crate::reply::refusal::Refusal;
use crate::request::applicable::Applicable;
use crate::request::payload::{MatchedPayload, check_length, requirements};
use crate::store::LimitCheck;

/// The payload limit that applies, and the reason if it refuses the head.
pub(super) fn payload<'p>(
    view: &View<'p>,
    applicable: &Applicable,
    checks: &[LimitCheck],
) -> (Option<Payload>, Option<Refusal<'p>>) {
    let View {
        policy,
        request,
        caller,
        ..
    } = *view;
    let matched = applicable
        .payload
        .and_then(|id| MatchedPayload::of(id, caller, policy));
    let Some(matched) = matched else {
        return (None, None);
    };
    let required = requirements(Some(matched), request, policy, checks).unwrap_or_default();
    let encodings = request.headers.all("content-encoding");
    let opened = check_length(&required, request).and_then(|()| {
        BodyMeter::new(&required, encodings, [0; 16], &Budget::default()).map(|_| ())
    });
    let refused = opened.err().filter(|_| !request.ends);
    let MatchedPayload {
        id,
        payload,
        overridden,
        bounds,
    } = matched;
    let at = format!("/payloads/{}", id.index());
    let explained = Payload {
        name: payload.scope.name.to_string(),
        label: payload.scope.label.to_string(),
        at: at.clone(),
        r#override: overridden.map(|place| format!("{at}/overrides/{place}")),
        bytes: bounds.bytes,
        decoded_bytes: bounds.decoded_bytes,
        json: required.json.is_some(),
        hold: payload.hold,
        enforcement: enforcement(payload.enforcement),
        refused: refused.map(|refused| refused.reason.name()),
    };
    let limit = &payload.scope.name;
    (
        Some(explained),
        refused
            .filter(|_| payload.enforcement == Enforcement::Enforce)
            .map(|rejection| Refusal::Payload {
                payload: id,
                limit,
                rejection,
            }),
    )
}
