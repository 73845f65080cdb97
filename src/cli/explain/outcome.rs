//! The outcome of the request: the verdict, and the client's response.

use super::body::payload;
use super::explanation::{Field, Limit, NotApplied, Payload, Pool, Response, Seats};
use super::host::Proxy;
use super::limits::View;
use super::reasons::Reasons;
use super::response::{answered, forwarded};
use super::upstream::{Settled, look, settle};
use crate::base::id::{DenialId, ExemptionId};
use crate::base::time::Timestamp;
use crate::engine::{Verdict, decide, longest_wait};
use crate::host::stream::LocalReply;
use crate::limit::{Balance, Cost, Decision, Enforcement, Rule};
use crate::observe::DecisionLabel;
use crate::policy::Policy;
use crate::reply::addressee::{ReplyContext, ReplyTo};
use crate::reply::fields::{self, Applied, LimitStatus, PoolStatus, Responder};
use crate::reply::local;
use crate::reply::refusal::Refusal;
use crate::request::applicable::Applicable;
use crate::request::checks::{self, matched_route};
use crate::request::head::Request;
use crate::store::LimitCheck;
use crate::store::key::{KeyMaker, LimitKeys};
use crate::store::memory::MemoryStore;

pub(super) struct Outcome {
    /// The exemption that holds.
    pub(super) exempt: Option<ExemptionId>,
    /// The denial that holds.
    pub(super) denied: Option<DenialId>,
    pub(super) payload: Option<Payload>,
    pub(super) limits: Vec<Limit>,
    pub(super) pools: Vec<Pool>,
    pub(super) seats: Vec<Seats>,
    pub(super) not_applied: Vec<NotApplied>,
    pub(super) decision: DecisionLabel,
    pub(super) limit: Option<String>,
    pub(super) response: Response,
}

impl Outcome {
    /// Of a request that is answered before any limit is asked.
    pub(super) fn refused(
        policy: &Policy,
        refusal: Refusal<'_>,
        request: &Request,
        now: Timestamp,
    ) -> Self {
        let denied = match refusal {
            Refusal::Denied(id) => Some(id),
            Refusal::Unauthorized(_)
            | Refusal::Path(_)
            | Refusal::Limit { .. }
            | Refusal::Pool { .. }
            | Refusal::Payload { .. }
            | Refusal::Fault => None,
        };
        let to = ReplyTo::head(request, None, &refusal, now);
        let reply = local::reply(policy, refusal, to, Applied::default());
        let (decision, response) = match denied {
            _ if policy.enforcement == Enforcement::Shadow => {
                (DecisionLabel::WouldRefuse, forwarded())
            }
            Some(_) => (DecisionLabel::Denied, answered(reply, request)),
            None => (DecisionLabel::Refused, answered(reply, request)),
        };
        Self {
            denied,
            ..Self::unlimited(decision, response)
        }
    }

    /// Of a request that the endpoint answers.
    pub(super) fn of_endpoint(reply: LocalReply, request: &Request) -> Self {
        Self::unlimited(DecisionLabel::Answered, answered(reply, request))
    }

    /// Of a request to which no limit applies.
    const fn unlimited(decision: DecisionLabel, response: Response) -> Self {
        Self {
            exempt: None,
            denied: None,
            payload: None,
            limits: Vec::new(),
            pools: Vec::new(),
            seats: Vec::new(),
            not_applied: Vec::new(),
            decision,
            limit: None,
            response,
        }
    }

    /// Of the last of `repeat` requests that are answered with `refusal` unless a limit on such
    /// requests refuses them.
    pub(super) fn counted(
        view: &View<'_>,
        proxy: &Proxy,
        applicable: &Applicable,
        repeat: u64,
        refusal: Refusal<'_>,
    ) -> Self {
        let View {
            policy,
            request,
            caller,
            ..
        } = *view;
        let mut checks = checks_of(view, applicable);
        let (verdict, balances) = last_of(repeat, view, proxy, &mut checks, false);
        let shown = statuses(policy, request, &checks, &balances);
        let (refusal, limits) = match verdict {
            Verdict::Refuse(denial) => (
                Refusal::of_limits(policy, denial, &checks, proxy.now),
                &shown[..],
            ),
            Verdict::Unlimited | Verdict::Admit | Verdict::Ask => (refusal, &[][..]),
        };
        let applied = Applied { limits, pools: &[] };
        let to = ReplyTo::head(request, Some(caller), &refusal, proxy.now);
        let reply = local::reply(policy, refusal, to, applied);
        let usual = Self::refused(policy, refusal, request, proxy.now);
        let is_shadow = policy.enforcement == Enforcement::Shadow;
        let would_refuse = admitted(policy, &checks).1.filter(|_| is_shadow);
        Self {
            limits: explained(view, &checks, &balances, verdict),
            limit: refusal.limit().map(str::to_owned).or(would_refuse),
            response: if is_shadow {
                usual.response
            } else {
                answered(reply, request)
            },
            ..usual
        }
    }

    /// Of the last of `repeat` requests of one caller, with counters that are untouched before.
    pub(super) fn decided(
        view: &View<'_>,
        proxy: &Proxy,
        applicable: &Applicable,
        reasons: &Reasons<'_>,
        repeat: u64,
    ) -> Self {
        let View {
            policy,
            request,
            caller,
            ..
        } = *view;
        let mut checks = checks_of(view, applicable);
        let (payload, refused) = payload(view, applicable, &checks);
        if refused.is_some() {
            // It takes nothing from any limit; its answer states their balances.
            for check in &mut checks {
                check.cost = Cost::Now(0);
            }
        }
        let (verdict, balances) = last_of(repeat, view, proxy, &mut checks, refused.is_none());
        let refused = refused.or_else(|| match verdict {
            Verdict::Refuse(denial) => Some(Refusal::of_limits(policy, denial, &checks, proxy.now)),
            Verdict::Unlimited | Verdict::Admit | Verdict::Ask => None,
        });
        let shown = statuses(policy, request, &checks, &balances);
        let applied = Applied {
            limits: &shown,
            pools: &pools(view, applicable, refused.is_none()),
        };
        let (decision, limit, response) = match refused {
            Some(refusal) => {
                let to = ReplyTo::head(request, Some(caller), &refusal, proxy.now);
                let reply = local::reply(policy, refusal, to, applied);
                let limit = refusal.limit().map(str::to_owned);
                (DecisionLabel::Refused, limit, answered(reply, request))
            }
            None => {
                let (mut decision, mut limit) = admitted(policy, &checks);
                if let Some(payload) = payload.as_ref().filter(|it| it.refused.is_some()) {
                    // It is in shadow, or the request would be refused.
                    decision = DecisionLabel::WouldRefuse;
                    limit = limit.or_else(|| Some(payload.name.clone()));
                }
                (decision, limit, of_the_upstream(view, proxy, applied))
            }
        };
        Self {
            exempt: applicable.exemption,
            denied: None,
            payload,
            limits: explained(view, &checks, &balances, verdict),
            pools: view.pools(applicable),
            seats: checks
                .iter()
                .filter_map(|check| view.seats(check))
                .collect(),
            not_applied: match applicable.exemption {
                Some(_) => Vec::new(),
                None => view.not_applied(applicable, reasons),
            },
            decision,
            limit,
            response,
        }
    }
}

/// The checks of a request against the limits that apply.
fn checks_of(view: &View<'_>, applicable: &Applicable) -> Vec<LimitCheck> {
    let View {
        policy,
        request,
        caller,
        ..
    } = *view;
    let keys = LimitKeys::new(&KeyMaker::new(&[0; 16], 1), &policy.identities());
    let mut checks = Vec::new();
    checks::fill(&mut checks, applicable, request, caller, policy, &keys);
    for check in &mut checks {
        // The engine counts by the rule itself, for all proxies.
        if let Rule::Lease(lease) = check.rule {
            check.rule = lease.counted().rule();
        }
    }
    checks
}

/// The limits of these checks, each with its decision and its balance.
fn explained(
    view: &View<'_>,
    checks: &[LimitCheck],
    balances: &[(Settled, Balance)],
    verdict: Verdict,
) -> Vec<Limit> {
    let all = checks.iter().zip(balances);
    all.filter_map(|(it, balance)| view.applied(it, DecisionLabel::of(it, verdict), *balance))
        .collect()
}

/// The verdict on the last of `repeat` requests, and the balance of each limit after it.
fn last_of(
    repeat: u64,
    view: &View<'_>,
    proxy: &Proxy,
    checks: &mut [LimitCheck],
    goes_on: bool,
) -> (Verdict, Vec<(Settled, Balance)>) {
    let mut store = MemoryStore::default();
    let mut verdict = Verdict::Unlimited;
    let mut balances = Vec::new();
    for _ in 0..repeat {
        verdict = decide(&mut store, proxy, checks, &mut { proxy.now });
        balances = balances_after(&mut store, proxy, checks, verdict);
        if verdict != Verdict::Admit {
            // At one moment, a request that is refused once is refused for ever, and one without a
            // limit has none later.
            break;
        }
        if goes_on {
            for (check, balance) in checks.iter().zip(&mut balances) {
                if !check.denies() {
                    let View {
                        policy, request, ..
                    } = *view;
                    let (settled, after) = settle(&mut store, proxy, policy, request, check);
                    *balance = (settled, after.unwrap_or(balance.1));
                }
            }
        }
    }
    (verdict, balances)
}

/// The status of each limit with these balances, for the fields.
fn statuses(
    policy: &Policy,
    request: &Request,
    checks: &[LimitCheck],
    balances: &[(Settled, Balance)],
) -> Vec<LimitStatus> {
    let mut statuses = Vec::new();
    for (check, (_, balance)) in checks.iter().zip(balances) {
        if let Some(mut status) = LimitStatus::of(check, policy) {
            if let Some(reading) = &mut status.reading {
                reading.balance = *balance;
            }
            let limit = policy.limits.get(status.limit);
            status.route = limit.and_then(|it| matched_route(&it.scope, request, policy));
            statuses.push(status);
        }
    }
    statuses
}

/// The status of each pool. If the request is admitted, it is the only one in flight.
fn pools(view: &View<'_>, applicable: &Applicable, is_admitted: bool) -> Vec<PoolStatus> {
    let View {
        policy,
        request,
        caller,
        ..
    } = *view;
    let known = applicable
        .pools
        .iter()
        .filter_map(|id| Some((*id, policy.pools.get(*id)?)));
    known
        .filter(|(_, limit)| limit.enforcement == Enforcement::Enforce)
        .map(|(pool, limit)| {
            let slots = limit.slots_of(|attribute| caller.selected(attribute));
            PoolStatus {
                pool,
                slots,
                free: is_admitted.then(|| slots.saturating_sub(1)),
                route: matched_route(&limit.scope, request, policy),
            }
        })
        .collect()
}

/// The decision on a request that is admitted, and the shadow limit that would have refused it.
fn admitted(policy: &Policy, checks: &[LimitCheck]) -> (DecisionLabel, Option<String>) {
    match longest_wait(checks, LimitCheck::denies) {
        Some((place, _)) => {
            let owner = checks.get(place).map(|check| check.owner);
            let limit = owner.and_then(|owner| policy.owner_name(owner));
            (DecisionLabel::WouldRefuse, limit.map(str::to_owned))
        }
        None => (DecisionLabel::Admitted, None),
    }
}

/// The upstream's response with the fields of the limits.
fn of_the_upstream(view: &View<'_>, proxy: &Proxy, applied: Applied<'_>) -> Response {
    let View {
        policy,
        request,
        caller,
        ..
    } = *view;
    let context = ReplyContext::of(request, caller, policy, proxy.now.nanos());
    let to = ReplyTo::kept(&context, proxy.now);
    let fields = fields::all(policy, applied, Responder::Upstream, to)
        .into_iter()
        .map(|(name, value)| Field { name, value })
        .collect();
    Response {
        status: proxy.upstream.as_ref().and_then(|upstream| upstream.status),
        of_the_upstream: true,
        fields,
        body: None,
    }
}

/// The balance of each limit after its check, before any charge is settled.
fn balances_after(
    store: &mut MemoryStore,
    proxy: &Proxy,
    checks: &[LimitCheck],
    verdict: Verdict,
) -> Vec<(Settled, Balance)> {
    checks
        .iter()
        .map(|check| match verdict {
            // The refused request was not charged.
            Verdict::Refuse(_) if !check.denies() => look(store, proxy, check),
            Verdict::Unlimited | Verdict::Admit | Verdict::Ask | Verdict::Refuse(_) => {
                balance(check)
            }
        })
        .map(|balance| (Settled::default(), balance))
        .collect()
}

/// The balance by the limit's answer.
pub(super) fn balance(check: &LimitCheck) -> Balance {
    check
        .answer
        .as_ref()
        .map_or_else(|_| Balance::default(), Decision::balance)
}
