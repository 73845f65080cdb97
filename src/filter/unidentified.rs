//! The answers to requests that no limit on admitted requests is asked about: 401 and 403.
//!
//! ```text
//!   exempt? ─▶ denied? ─▶ 403
//!                └─ no ─▶ identified? ─▶ limits
//!                            └─ no ─▶ limits on refused credentials ─▶ 401, or 429
//! ```

use super::admit::Head;
use super::phase::{Event, Forwarded};
use super::settle::StreamCx;
use super::stream::{Flow, StreamState};
use crate::base::id::{DenialId, LimitId};
use crate::base::time::Timestamp;
use crate::engine::Verdict;
use crate::host::queue::SharedQueue;
use crate::host::shared::SharedData;
use crate::host::stream::Host;
use crate::limit::{Cost, Enforcement};
use crate::observe::access_log::{self, Line};
use crate::observe::{DecisionLabel, admission};
use crate::reply::addressee::ReplyTo;
use crate::reply::fields::Applied;
use crate::reply::local;
use crate::reply::refusal::Refusal;
use crate::request::applicable::{Applicable, NoTrace};
use crate::request::checks;
use crate::request::head::Request;
use crate::request::identify::{AuthFailure, suspect, without_credentials};
use crate::store::{EngineAccess, LimitCheck};

impl<D: SharedData + SharedQueue, H: Host> StreamCx<'_, D, H> {
    /// Answers a request whose caller cannot be identified: with a 403 if it is denied, with a 429
    /// if a limit on such requests refuses it, otherwise with a 401.
    pub(super) fn reject_unidentified(
        &self,
        stream: &mut StreamState,
        (request, now): (&Request, Timestamp),
        failure: AuthFailure,
        (applicable, checks): (&mut Applicable, &mut Vec<LimitCheck>),
    ) -> Flow {
        let policy = &self.runtime.policy;
        let counts = policy.refused.is_some();
        let is_shadow = policy.enforcement == Enforcement::Shadow;
        if counts || is_shadow || !policy.deny.is_empty() || policy.access_log.is_some() {
            let suspect = suspect(request, policy);
            let head = Head {
                request,
                caller: &suspect.caller,
                pools: &[],
                now,
            };
            // Those of the request before are of no use here.
            checks.clear();
            if !policy.deny.is_empty() || (counts && !policy.exempt.is_empty()) {
                applicable.find(request, &suspect.caller, policy, &mut NoTrace);
                if let Some(denial) = applicable.denial {
                    return self.deny(stream, head, denial);
                }
            }
            if counts
                && applicable.exemption.take().is_none()
                && let Some(flow) = self.count_refused(stream, head, applicable, checks)
            {
                return flow;
            }
            if is_shadow {
                // If a limit on such requests would refuse it, that is counted as its decision.
                if checks.iter().any(LimitCheck::denies) {
                    stream.on(Event::Forward(Forwarded::default()));
                    return Flow::Continue;
                }
                return self.pass(stream, head);
            }
            if let Some(attributes) = &policy.access_log {
                let mut text = self.runtime.line.borrow_mut();
                let tier = request.tier;
                access_log::unauthorized(&mut text, policy, attributes, tier, failure, &suspect);
                self.write_line(&text);
            }
        }
        let refusal = Refusal::Unauthorized(failure);
        self.observe_refusal(refusal);
        let to = ReplyTo::head(request, None, &refusal, now);
        let reply = local::reply(policy, refusal, to, Applied::default());
        self.refuse_with(stream, &reply)
    }

    /// Counts a request that is about to receive a 401, and answers it if a limit on such requests
    /// refuses it. The access log shows the caller of `head`.
    fn count_refused(
        &self,
        stream: &mut StreamState,
        mut head: Head<'_>,
        applicable: &mut Applicable,
        checks: &mut Vec<LimitCheck>,
    ) -> Option<Flow> {
        let (policy, request) = (&self.runtime.policy, head.request);
        let caller = without_credentials(request, policy, head.caller);
        applicable.find_refused(request, &caller, policy);
        checks::fill(
            checks,
            applicable,
            request,
            &caller,
            policy,
            &self.runtime.keys,
        );
        if checks.is_empty() {
            return None;
        }
        let verdict = self.ask_limits((stream.id, stream.asked), checks, &mut head.now);
        if verdict == Verdict::Ask {
            return Some(self.ask(stream, request.ends, checks));
        }
        let refused = self.refuse_by(stream, head, verdict, checks);
        if refused.is_none() {
            self.observe_decisions(verdict, checks, &head);
            if policy.enforcement == Enforcement::Shadow {
                self.log_decision(stream.asked, verdict, checks, (&[], head));
            }
            admission(checks, verdict, |event| self.observe(event));
            self.count_admitted(verdict, checks, (head.caller, head.now));
        }
        refused
    }

    /// Answers a request of an identified caller if a limit on refused credentials has locked its
    /// key. It is asked at a cost of 0, so only a lock refuses, and nothing is counted otherwise.
    pub(super) fn refuse_locked(
        &self,
        stream: &mut StreamState,
        mut head: Head<'_>,
        checks: &mut Vec<LimitCheck>,
    ) -> Option<Flow> {
        let (policy, request) = (&self.runtime.policy, head.request);
        let caller = without_credentials(request, policy, head.caller);
        let mut applicable = Applicable::default();
        applicable.find_refused(request, &caller, policy);
        let locks = |id: &LimitId| {
            policy
                .limits
                .get(*id)
                .is_some_and(|limit| limit.lock.is_some())
        };
        applicable.limits.retain(locks);
        checks::fill(
            checks,
            &applicable,
            request,
            &caller,
            policy,
            &self.runtime.keys,
        );
        for check in checks.iter_mut() {
            // Only this proxy's own knowledge of a lock counts here.
            (check.cost, check.access) = (Cost::Now(0), EngineAccess::CutOff);
        }
        let verdict = self.ask_limits((stream.id, stream.asked), checks, &mut head.now);
        self.refuse_by(stream, head, verdict, checks)
    }

    /// Counts, logs and answers a request that a limit on refused credentials refuses, if one
    /// does.
    fn refuse_by(
        &self,
        stream: &mut StreamState,
        head: Head<'_>,
        verdict: Verdict,
        checks: &[LimitCheck],
    ) -> Option<Flow> {
        let Verdict::Refuse(denial) = verdict else {
            return None;
        };
        self.observe_decisions(verdict, checks, &head);
        let limits = self.statuses(checks, head.request);
        self.log_decision(stream.asked, verdict, checks, (&limits, head));
        Some(self.refuse_limits(stream, head, denial, checks, limits))
    }

    /// Answers a request that an entry of `deny` matches. No limit is asked.
    pub(super) fn deny(&self, stream: &mut StreamState, head: Head<'_>, denial: DenialId) -> Flow {
        let policy = &self.runtime.policy;
        if policy.enforcement == Enforcement::Shadow {
            return self.pass(stream, head);
        }
        let refusal = Refusal::Denied(denial);
        self.observe_refusal(refusal);
        let line = Line {
            decision: DecisionLabel::Denied,
            limit: None,
            tier: head.request.tier,
            engine: None,
            caller: head.caller,
        };
        self.log_refusal(line.to_text(policy).as_deref());
        let to = head.reply_to(&refusal);
        let reply = local::reply(policy, refusal, to, Applied::default());
        self.refuse_with(stream, &reply)
    }
}
