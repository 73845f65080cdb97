//! The decision on a request whose limits may have to ask the engine.

use super::AskState;
use crate::base::id::CounterOwner;
use crate::base::time::Timestamp;
use crate::engine::{Verdict, decide};
use crate::filter::phase::{Effect, Event};
use crate::filter::settle::StreamCx;
use crate::filter::stream::{Flow, StreamState};
use crate::host::queue::SharedQueue;
use crate::host::shared::SharedData;
use crate::host::stream::Host;
use crate::limit::{FailureMode, Rule};
use crate::observe::{EngineEvent, Event as Observed, Fallback};
use crate::payload::slice::Slice;
use crate::queue::stream::StreamId;
use crate::store::{EngineAccess, LimitCheck};

impl<D: SharedData + SharedQueue, H: Host> StreamCx<'_, D, H> {
    /// Asks all limits. If the verdict is to ask the engine, the request must [`StreamCx::ask`].
    pub(in crate::filter) fn ask_limits(
        &self,
        (stream, asked): (StreamId, AskState),
        checks: &mut [LimitCheck],
        now: &mut Timestamp,
    ) -> Verdict {
        if self.runtime.sharing.is_none() {
            return self.with_store(|store| decide(store, self.host, checks, now));
        }
        let steady = self.host.steady();
        for check in checks.iter_mut() {
            check.rule = check.rule.at(|| steady);
        }
        let mut verdict = self.with_store(|store| decide(store, self.host, checks, now));
        if verdict == Verdict::Ask && !self.runtime.may_ask(asked, steady) {
            self.fall_back(checks);
            verdict = self.with_store(|store| decide(store, self.host, checks, now));
        }
        self.runtime.note_due(self.host, stream, checks);
        verdict
    }

    /// Lets the checks that lack units decide without the engine, and no other one ask it.
    fn fall_back(&self, checks: &mut [LimitCheck]) {
        let policy = &self.runtime.policy;
        let proxies = policy.engine.as_ref().map_or(1, |engine| engine.proxies);
        for check in checks.iter_mut() {
            let (Rule::Lease(lease), CounterOwner::Limit(id)) = (check.rule, check.owner) else {
                continue;
            };
            check.access = EngineAccess::CutOff;
            if !std::mem::take(&mut check.lacks) {
                continue;
            }
            check.access = EngineAccess::FellBack;
            let shared = policy.limits.get(id).and_then(|limit| limit.shared);
            let mode = match (shared, check.failure) {
                (Some(shared), _) if shared.falls_back => {
                    check.rule = lease.share(proxies);
                    check.key = check.key.share();
                    Fallback::Local
                }
                (_, FailureMode::Allow) => Fallback::Allow,
                (_, FailureMode::Deny) => Fallback::Deny,
            };
            self.observe(Observed::Engine(EngineEvent::Fallback { limit: id, mode }));
        }
    }

    /// Lets the request wait for the units that its checks lack.
    pub(in crate::filter) fn ask(
        &self,
        stream: &mut StreamState,
        ends: bool,
        checks: &[LimitCheck],
    ) -> Flow {
        // The body is opened again when the request decides again.
        let body = stream.body.take();
        let is_held = body.is_some_and(|body| body.is_held());
        stream.asked.ends = ends;
        stream.on(Event::Ask);
        self.runtime
            .ask(self.host, stream.id, &mut stream.asked, checks);
        if is_held { Flow::Hold } else { Flow::Wait }
    }

    /// A request that waits for the engine decides again.
    pub(in crate::filter) fn decide_again(
        &self,
        stream: &mut StreamState,
        slice: &mut Slice,
    ) -> Flow {
        if self.runtime.stop_waiting(self.host, stream.id) {
            stream.asked.rounds = stream.asked.rounds.saturating_add(1);
        }
        let Effect::DecideAgain = stream.on(Event::Answer) else {
            return Flow::Stop;
        };
        let AskState { ends, kept, .. } = stream.asked;
        let is_complete = stream.is_complete;
        match self.admit(stream, ends) {
            // The bytes of the body that have arrived wait to be read.
            Flow::Hold if kept > 0 || is_complete => {
                self.take_body(stream, kept, is_complete, slice)
            }
            flow @ (Flow::Continue | Flow::Hold | Flow::Suspend | Flow::Wait | Flow::Stop) => flow,
        }
    }
}
