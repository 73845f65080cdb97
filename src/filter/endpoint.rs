//! The endpoint at which callers read their own numbers. Its requests pass identification,
//! `exempt`, `deny` and locks as all others do; no limit is asked.

use super::admit::Head;
use super::settle::StreamCx;
use super::stream::{Flow, StreamState};
use crate::host::queue::SharedQueue;
use crate::host::shared::SharedData;
use crate::host::stream::{Host, LocalReply};
use crate::observe::access_log::Line;
use crate::observe::{DecisionLabel, Event as Observed};
use crate::policy::replies::Endpoint;
use crate::reply::endpoint::{Counters, misuse};
use crate::request::applicable::{Applicable, NoTrace};
use crate::request::endpoint::{Asked, AskedHead, read};
use crate::request::identify::identify;

impl<D: SharedData + SharedQueue, H: Host> StreamCx<'_, D, H> {
    /// Answers a request to the endpoint.
    pub(super) fn answer_endpoint(
        &self,
        stream: &mut StreamState,
        head: Head<'_>,
        endpoint: &Endpoint,
    ) -> Flow {
        let reply = match read(head.request) {
            Err(why) => misuse(why, head.request.dialect()),
            Ok(Asked::Own) => {
                let store = &*self.runtime.store.borrow();
                let counters = Counters {
                    policy: &self.runtime.policy,
                    keys: &self.runtime.keys,
                    store,
                };
                counters.own(endpoint, head.request, head.caller, self.host)
            }
            Ok(Asked::Request(asked)) => return self.answer_asked(stream, head, &asked),
        };
        self.answer_own(stream, head, &reply)
    }

    /// Answers with the verdict on another request of the caller. If that is not identified, or its
    /// key is locked, it is answered in its place, so that a client cannot try secrets here
    /// uncounted.
    fn answer_asked(&self, stream: &mut StreamState, head: Head<'_>, asked: &AskedHead) -> Flow {
        let policy = &self.runtime.policy;
        let request = asked.request(self.host, policy);
        let (mut applicable, mut checks) = (Applicable::default(), Vec::new());
        let caller = match identify(&request, policy) {
            Ok(caller) => caller,
            Err(failure) => {
                let at = (&request, head.now);
                return self.reject_unidentified(
                    stream,
                    at,
                    failure,
                    (&mut applicable, &mut checks),
                );
            }
        };
        let asked = Head {
            request: &request,
            caller: &caller,
            pools: &[],
            now: head.now,
        };
        applicable.find(&request, &caller, policy, &mut NoTrace);
        if policy.refused.as_ref().is_some_and(|refused| refused.locks)
            && applicable.exemption.is_none()
            && let Some(flow) = self.refuse_locked(stream, asked, &mut checks)
        {
            return flow;
        }
        let reply = {
            let counters = Counters {
                policy,
                keys: &self.runtime.keys,
                store: &*self.runtime.store.borrow(),
            };
            counters.of_request(&request, &caller, &applicable, self.host)
        };
        self.answer_own(stream, head, &reply)
    }

    fn answer_own(&self, stream: &mut StreamState, head: Head<'_>, reply: &LocalReply) -> Flow {
        self.observe(Observed::Answered);
        let line = Line {
            decision: DecisionLabel::Answered,
            limit: None,
            tier: head.request.tier,
            engine: None,
            caller: head.caller,
        };
        self.log_refusal(line.to_text(&self.runtime.policy).as_deref());
        self.answer(stream, reply)
    }
}
