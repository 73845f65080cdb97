//! The answers to requests that no limit on admitted requests is asked about: 401 and 403.
//!
//! ```text
//!   exempt? ─▶ denied? ─▶ 403
//!                └─ no ─▶ identified? ─▶ limits
//!                            └─ no ─▶ 401
//! ```

use super::admit::Head;
use super::settle::StreamCx;
use super::stream::{Flow, StreamState};
use crate::base::id::DenialId;
use crate::base::time::Timestamp;
use crate::host::queue::SharedQueue;
use crate::host::shared::SharedData;
use crate::host::stream::Host;
use crate::observe::DecisionLabel;
use crate::observe::access_log::{self, Line};
use crate::reply::addressee::ReplyTo;
use crate::reply::fields::Applied;
use crate::reply::local;
use crate::reply::refusal::Refusal;
use crate::request::applicable::{Applicable, NoTrace};
use crate::request::head::Request;
use crate::request::identify::{AuthFailure, suspect};

impl<D: SharedData + SharedQueue, H: Host> StreamCx<'_, D, H> {
    /// Answers a request whose caller cannot be identified: with a 403 if it is denied, otherwise
    /// with a 401.
    pub(super) fn reject_unidentified(
        &self,
        stream: &mut StreamState,
        (request, now): (&Request, Timestamp),
        failure: AuthFailure,
        applicable: &mut Applicable,
    ) -> Flow {
        let policy = &self.runtime.policy;
        let refusal = Refusal::Unauthorized(failure);
        if !policy.deny.is_empty() || policy.access_log.is_some() {
            let suspect = suspect(request, policy);
            if !policy.deny.is_empty() {
                applicable.find(request, &suspect.caller, policy, &mut NoTrace);
                if let Some(denial) = applicable.denial {
                    let head = Head {
                        request,
                        caller: &suspect.caller,
                        pools: &[],
                        now,
                    };
                    return self.deny(stream, head, denial);
                }
            }
            if let Some(attributes) = &policy.access_log {
                let mut text = self.runtime.line.borrow_mut();
                let tier = request.tier;
                access_log::unauthorized(&mut text, policy, attributes, tier, failure, &suspect);
                self.host.set_filter_state(access_log::KEY, &text);
            }
        }
        self.observe_refusal(refusal);
        let to = ReplyTo::head(request, None, &refusal, now);
        let reply = local::reply(policy, refusal, to, Applied::default());
        self.answer(stream, &reply)
    }

    /// Answers a request that an entry of `deny` matches. No limit is asked.
    pub(super) fn deny(&self, stream: &mut StreamState, head: Head<'_>, denial: DenialId) -> Flow {
        let policy = &self.runtime.policy;
        let refusal = Refusal::Denied(denial);
        self.observe_refusal(refusal);
        let line = Line {
            decision: DecisionLabel::Denied,
            limit: None,
            tier: head.request.tier,
            caller: head.caller,
        };
        self.log_refusal(line.to_text(policy).as_deref());
        let to = head.reply_to(&refusal);
        let reply = local::reply(policy, refusal, to, Applied::default());
        self.answer(stream, &reply)
    }
}
