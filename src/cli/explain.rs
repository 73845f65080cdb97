//! `sluicegate explain`: the verdict of a policy on one request, with the reasons, without a proxy.
//!
//! ```text
//!   arguments ─▶ Proxy (a host) ─▶ identify ─▶ applicable ─▶ decide ⇄ store::memory ─▶ reply
//!                                     └───────────┴─────────────┴──────────────────────┤
//!                                                          text, JSON ◀─ Explanation ◀─┘
//! ```
//!
//! The filter's own code answers, so the explanation agrees with the filter. The command changes
//! nothing outside of this process, and shows the identifier of a credential instead of the secret.

mod args;
mod body;
mod caller;
mod endpoint;
mod explanation;
mod host;
mod limits;
mod message;
mod missing;
mod outcome;
mod reasons;
mod recorder;
mod response;
#[cfg(test)]
mod tests;
mod text;
pub(super) mod time;
mod upstream;

use super::{Failure, document};
use crate::base::id::Id as _;
use crate::observe::DecisionLabel;
use crate::policy::Policy;
use crate::policy::route::RouteId;
use crate::reply::refusal::Refusal;
use crate::request::applicable::{Applicable, NoTrace};
use crate::request::endpoint::endpoint as endpoint_of;
use crate::request::head::Request;
use crate::request::identify::{identify_traced, suspect_traced, without_credentials};
use crate::request::properties::resolve_node_metadata;
use explanation::{Asked, Explanation, Matched, Refused};
use host::Proxy;
use limits::View;
use outcome::Outcome;
use reasons::Reasons;
use recorder::Recorder;

pub(super) use args::ExplainArgs;
pub(super) use text::{plain, regained};

pub(super) fn run(args: &ExplainArgs) -> Result<String, Failure> {
    let proxy = Proxy::of(args).map_err(Failure::Usage)?;
    let mut policy = document::read_valid(&args.policy, &args.directory)?.policy;
    resolve_node_metadata(&mut policy, &proxy);
    let explanation = explanation(&policy, &proxy, args.repeat);
    Ok(if args.json {
        explanation.to_json()
    } else {
        text::write(&explanation, args.all)
    })
}

/// Explains the last of `repeat` such requests.
fn explanation(policy: &Policy, proxy: &Proxy, repeat: u64) -> Explanation {
    let request = proxy.request(policy);
    let mut record = Recorder::default();
    let identified = identify_traced(&request, policy, &mut record);
    // For a caller that is refused: all that is known all the same.
    let mut known = Recorder::default();
    let suspect = identified
        .as_ref()
        .err()
        .map(|_| suspect_traced(&request, policy, &mut known));
    let (known_record, caller) = match (&identified, &suspect) {
        (Ok(caller), _) => (&record, Some(caller)),
        (Err(_), Some(suspect)) => (&known, Some(&suspect.caller)),
        (Err(_), None) => (&record, None),
    };
    let attribute = suspect.as_ref().and_then(|suspect| suspect.attribute);
    let refused = identified.as_ref().err().map(|why| (*why, attribute));
    let callers = caller::callers(policy, &request, (&record, known_record), refused, caller);
    let not_given = caller
        .map(|caller| missing::missing(policy, proxy, known_record, caller, callers.asked))
        .unwrap_or_default();
    let mut applicable = Applicable::default();
    let view = caller.map(|caller| View {
        policy,
        request: &request,
        caller,
        not_given: &not_given,
    });
    let refusal = refused.map(|(why, _)| Refusal::Unauthorized(why));
    let outcome = match (&view, refusal) {
        (Some(view), None) => admitted(view, proxy, &mut applicable, repeat),
        (Some(view), Some(refusal)) => unidentified(view, proxy, &mut applicable, repeat, refusal),
        // Every request has a caller, if an unknown one.
        (None, refusal) => {
            let refusal = refusal.unwrap_or(Refusal::Fault);
            Outcome::refused(policy, refusal, &request, proxy.now)
        }
    };
    Explanation {
        policy: policy.name.to_string(),
        revision: policy.revision.to_string(),
        at: time::rfc3339(proxy.now),
        repeat,
        request: asked(proxy, &applicable),
        routes: routes(policy, &request),
        tier: tier(policy, &request),
        callers,
        not_given,
        exempt: outcome.exempt.map(|id| format!("/exempt/{}", id.index())),
        denied: outcome.denied.map(|id| format!("/deny/{}", id.index())),
        endpoint: (outcome.decision == DecisionLabel::Answered)
            .then(|| "/replies/endpoint".to_owned()),
        payload: outcome.payload,
        limits: outcome.limits,
        pools: outcome.pools,
        seats: outcome.seats,
        not_applied: outcome.not_applied,
        decision: outcome.decision.name(),
        limit: outcome.limit,
        response: outcome.response,
    }
}

/// The outcome of a request that is about to receive a 401: `refusal`, unless it is denied, or a
/// limit on such requests refuses it.
fn unidentified(
    view: &View<'_>,
    proxy: &Proxy,
    applicable: &mut Applicable,
    repeat: u64,
    refusal: Refusal<'_>,
) -> Outcome {
    let View {
        policy,
        request,
        caller,
        not_given,
    } = *view;
    applicable.find(request, caller, policy, &mut NoTrace);
    // No reading of the path is of any use to a 401.
    applicable.ambiguity = None;
    if let Some(denial) = applicable.denial {
        return Outcome::refused(policy, Refusal::Denied(denial), request, proxy.now);
    }
    if applicable.exemption.is_none() && policy.refused.is_some() {
        let caller = &without_credentials(request, policy, caller);
        applicable.find_refused(request, caller, policy);
        let view = View {
            policy,
            request,
            caller,
            not_given,
        };
        return Outcome::counted(&view, proxy, applicable, repeat, refusal);
    }
    Outcome::refused(policy, refusal, request, proxy.now)
}

/// The outcome of a request with an admitted caller.
fn admitted(view: &View<'_>, proxy: &Proxy, applicable: &mut Applicable, repeat: u64) -> Outcome {
    let View {
        policy,
        request,
        caller,
        ..
    } = *view;
    let mut reasons = Reasons::default();
    applicable.find(request, caller, policy, &mut reasons);
    if let (None, Some(denial)) = (applicable.ambiguity, applicable.denial) {
        return Outcome::refused(policy, Refusal::Denied(denial), request, proxy.now);
    }
    if let (None, Some(endpoint)) = (applicable.ambiguity, endpoint_of(request, policy)) {
        return endpoint::asked(view, proxy, endpoint);
    }
    match applicable.ambiguity {
        Some(why) => Outcome::refused(policy, Refusal::Path(why), request, proxy.now),
        None => Outcome::decided(view, proxy, applicable, &reasons, repeat),
    }
}

fn asked(proxy: &Proxy, applicable: &Applicable) -> Asked {
    Asked {
        method: proxy.method.clone(),
        path: proxy.path.clone(),
        refused: applicable.ambiguity.map(|why| Refused {
            reason: why.name(),
            message: why.detail().to_owned(),
        }),
    }
}

/// The routes that match in some reading of the path, those of its first reading first.
fn routes(policy: &Policy, request: &Request) -> Vec<String> {
    let mut ids: Vec<RouteId> = Vec::new();
    for id in request.readings().flat_map(|reading| reading.matches.ids()) {
        if !ids.contains(id) {
            ids.push(*id);
        }
    }
    ids.into_iter().filter_map(|id| route(policy, id)).collect()
}

/// The tier of the request, and the route that decides it.
fn tier(policy: &Policy, request: &Request) -> Option<Matched> {
    let tier = policy.tiers.get(request.tier?)?;
    Some(Matched {
        name: tier.name.to_string(),
        route: matched(policy, request, &tier.routes),
    })
}

/// The first of `routes` that matches.
fn matched(policy: &Policy, request: &Request, routes: &[RouteId]) -> Option<String> {
    let first = routes.iter().find(|id| {
        request
            .readings()
            .any(|reading| reading.matches.contains(**id))
    })?;
    route(policy, *first)
}

fn route(policy: &Policy, id: RouteId) -> Option<String> {
    policy.routes.route(id).map(ToString::to_string)
}
