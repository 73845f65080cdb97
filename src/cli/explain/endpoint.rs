//! The endpoint at which callers read their own numbers, with untouched counters.

use super::host::Proxy;
use super::limits::View;
use super::outcome::Outcome;
use super::unidentified;
use crate::policy::replies::Endpoint;
use crate::reply::endpoint::{Counters, misuse};
use crate::reply::refusal::Refusal;
use crate::request::applicable::{Applicable, NoTrace};
use crate::request::endpoint::{Asked, read};
use crate::request::identify::{identify, suspect};
use crate::store::key::{KeyMaker, LimitKeys};
use crate::store::memory::MemoryStore;

/// The endpoint's answer.
pub(super) fn asked(view: &View<'_>, proxy: &Proxy, endpoint: &Endpoint) -> Outcome {
    let View {
        policy,
        request,
        caller,
        not_given,
    } = *view;
    let counters = Counters {
        policy,
        keys: &LimitKeys::new(&KeyMaker::new(&[0; 16], 1), &policy.identities()),
        store: &MemoryStore::default(),
    };
    let reply = match read(request) {
        Err(why) => misuse(why, request.dialect()),
        Ok(Asked::Own) => counters.own(endpoint, request, caller, proxy),
        Ok(Asked::Request(asked)) => {
            let other = asked.request(proxy, policy);
            let mut applicable = Applicable::default();
            match identify(&other, policy) {
                Ok(caller) => {
                    applicable.find(&other, &caller, policy, &mut NoTrace);
                    counters.of_request(&other, &caller, &applicable, proxy)
                }
                Err(failure) => {
                    let view = View {
                        policy,
                        request: &other,
                        caller: &suspect(&other, policy).caller,
                        not_given,
                    };
                    let refusal = Refusal::Unauthorized(failure);
                    return unidentified(&view, proxy, &mut applicable, 1, refusal);
                }
            }
        }
    };
    Outcome::of_endpoint(reply, request)
}
