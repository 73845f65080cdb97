//! Questions of operators about one caller. Only a route that says so in its metadata, which a
//! listener on the loopback interface has, is for operators; everywhere else such a path is a path
//! like any other.

use log::info;

use super::settle::StreamCx;
use super::stream::{Flow, StreamState};
use crate::base::id::{CounterOwner, PoolId};
use crate::base::property::Property;
use crate::host::queue::SharedQueue;
use crate::host::shared::SharedData;
use crate::host::stream::{Host, LocalReply};
use crate::observe::access_log::{self, Line};
use crate::observe::{DecisionLabel, Event as Observed};
use crate::reply::operator::{Described, Occupancy, misuse};
use crate::request::head::Request;
use crate::request::identify::Caller;
use crate::request::operator::{Misuse, Owner, Stated, Wanted, is_operators, may_ask, read};
use crate::store::Store as _;

impl<D: SharedData + SharedQueue, H: Host> StreamCx<'_, D, H> {
    /// Whether an operator sends the request. The metadata is read for one path only.
    pub(super) fn is_from_operator(&self, request: &Request) -> bool {
        may_ask(request)
            && self
                .host
                .property(Property::RouteMetadata)
                .is_some_and(|metadata| is_operators(&metadata))
    }

    /// Answers an operator. No limit is asked.
    pub(super) fn answer_operator(&self, stream: &mut StreamState, request: &Request) -> Flow {
        let reply = self
            .operator_reply(request)
            .unwrap_or_else(|why| misuse(&why, &self.runtime.policy, request.dialect()));
        self.answer(stream, &reply)
    }

    fn operator_reply(&self, request: &Request) -> Result<LocalReply, Misuse> {
        let policy = &self.runtime.policy;
        let (wanted, stated) = read(request, policy)?;
        let caller = stated.caller(policy);
        let (only, reset) = match wanted {
            Wanted::Numbers(only) => (only, None),
            Wanted::Reset(owner) => {
                let existed = self.reset(owner, &stated, &caller)?;
                (Some(Owner::Counter(owner)), Some(existed))
            }
        };
        let decision = match reset {
            None => DecisionLabel::Answered,
            Some(_) => DecisionLabel::Reset,
        };
        let limit = only.and_then(|owner| owner.scope(policy));
        let line = Line {
            decision,
            limit: limit.map(|scope| &*scope.name),
            tier: None,
            engine: None,
            caller: &caller,
        };
        self.log_refusal(line.to_text(policy).as_deref());
        let store = self.runtime.store.borrow();
        let described = Described {
            policy,
            keys: &self.runtime.keys,
            store: &*store,
            stated: &stated,
            caller: &caller,
        };
        let slots = |id| self.occupancy(id, &stated, &caller);
        described.numbers(only, reset, slots, self.host)
    }

    /// Begins the counter of one limit anew. Returns whether there was one.
    fn reset(
        &self,
        owner: CounterOwner,
        stated: &Stated<'_>,
        caller: &Caller<'_>,
    ) -> Result<bool, Misuse> {
        let policy = &self.runtime.policy;
        let check = {
            let described = Described {
                policy,
                keys: &self.runtime.keys,
                store: &*self.runtime.store.borrow(),
                stated,
                caller,
            };
            described.check(owner)?
        };
        let reset = self
            .runtime
            .with_counters(self.host, |store| store.reset(&check.key));
        let existed = reset.map_err(|fault| {
            self.observe(Observed::Fault(fault));
            Misuse::Fault
        })?;
        self.observe(Observed::Reset);
        info!(
            "{}: an operator reset {} for{}",
            policy.name,
            policy.owner_name(owner).unwrap_or_default(),
            values(stated)
        );
        Ok(existed)
    }

    /// The slots of the caller in a pool.
    fn occupancy(&self, id: PoolId, stated: &Stated<'_>, caller: &Caller<'_>) -> Option<Occupancy> {
        let policy = &self.runtime.policy;
        let (running, limit) = (self.runtime.pools.as_ref()?, policy.pools.get(id)?);
        let live = running.live.get(id)?;
        let worker = running.worker.borrow();
        let mut key = worker.key(live);
        for part in &limit.scope.per {
            key.push(stated.part(part, policy));
        }
        let own = limit.own(|attribute| caller.selected(attribute));
        let pool = own.unwrap_or(live.limits());
        let state = worker.state(key.finish()).ok()?;
        Some(Occupancy {
            slots: pool.slots(),
            free: u32::try_from(pool.free(&state)).unwrap_or(u32::MAX),
            waiting: u32::try_from(state.waiting.len()).unwrap_or(u32::MAX),
        })
    }
}

/// What an operator says of a caller, for the log: ` org=acme plan=-`.
fn values(stated: &Stated<'_>) -> String {
    let mut text = String::new();
    for (name, value) in stated.values() {
        text.push(' ');
        text.push_str(&String::from_utf8_lossy(name));
        text.push('=');
        access_log::push_value(&mut text, value);
    }
    text
}
