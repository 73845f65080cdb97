//! What all streams under one policy share within a worker.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use super::turn::Pools;
use crate::base::invariant::drain_broken;
use crate::base::time::Span;
use crate::host::fault::Fault;
use crate::host::queue::SharedQueue;
use crate::host::shared::SharedData;
use crate::host::stream::{Meter, MetricId, MetricKind, Properties};
use crate::observe::metrics::{Counters, MetricsSink};
use crate::observe::{Event, Sink};
use crate::payload::memory::Budget;
use crate::policy::Policy;
use crate::queue::membership::RootId;
use crate::queue::worker::Worker;
use crate::reply::fields;
use crate::request::applicable::Applicable;
use crate::request::caller_cache::CallerCache;
use crate::request::head::Request;
use crate::request::properties::resolve_node_metadata;
use crate::store::LimitCheck;
use crate::store::key::{LimitKeys, Secret};
use crate::store::shared::SharedStore;

/// A policy at work.
#[derive(Debug)]
pub struct Runtime<D> {
    /// The policy.
    pub policy: Policy,
    pub(super) store: RefCell<SharedStore<D>>,
    pub(super) keys: LimitKeys,
    pub(super) counters: Counters,
    /// The names of all fields that responses may carry.
    pub(super) field_names: Vec<&'static str>,
    /// What tells entries of archives apart, and no client knows.
    pub(super) seed: Secret,
    /// Its pools; `None` where it has none.
    pub(super) pools: Option<Pools<D>>,
    /// Whether the host was seen to let a head wait for its body.
    pub(super) holds: Cell<bool>,
    /// The memory for bodies that are measured, of all policies.
    pub(super) bodies: Budget,
    /// Buffers of the request at hand, used again for the next.
    pub(super) scratch: RefCell<Option<Box<Scratch>>>,
    /// The last request's line for the access log, of which the memory is used again.
    pub(super) line: RefCell<String>,
}

#[derive(Debug, Default)]
pub(super) struct Scratch {
    pub(super) request: Request,
    pub(super) applicable: Applicable,
    pub(super) checks: Vec<LimitCheck>,
    pub(super) caller_cache: CallerCache,
}

impl<D: SharedData + Properties> Runtime<D> {
    /// Puts `policy` to work over `data`. `fresh` becomes the proxy's secret if it has none yet. Its
    /// bodies share `bodies` with those of all policies in this VM.
    ///
    /// # Errors
    /// [`Fault`] if the host's shared data fails.
    pub fn start(
        mut policy: Policy,
        data: D,
        fresh: &Secret,
        bodies: Budget,
        define: impl FnMut(MetricKind, &str) -> MetricId,
    ) -> Result<Self, Fault> {
        resolve_node_metadata(&mut policy, &data);
        let store = SharedStore::open(data, &policy.name, policy.keys_max, fresh)?;
        let keys = LimitKeys::new(store.keys(), &policy.identities());
        let counters = Counters::define(&policy, define);
        let field_names = fields::names(&policy);
        let scratch = Scratch { caller_cache: CallerCache::new(fresh), ..Scratch::default() };
        Ok(Self {
            policy,
            store: RefCell::new(store),
            keys,
            counters,
            field_names,
            seed: *fresh,
            pools: None,
            holds: Cell::default(),
            bodies,
            scratch: RefCell::new(Some(Box::new(scratch))),
            line: RefCell::default(),
        })
    }
}

impl<D: SharedData + SharedQueue> Runtime<D> {
    /// Whether the policy has pools, for which [`Runtime::join`] must be called.
    #[must_use]
    pub fn has_pools(&self) -> bool {
        !self.policy.pools.is_empty()
    }

    /// Puts the policy's pools to work: their numbers hold from now on, for all streams of this VM.
    pub fn join(&mut self, worker: Rc<RefCell<Worker<D>>>, root: RootId, uptime: Span) {
        let mut shared = worker.borrow_mut();
        let live =
            self.policy.pools.iter().map(|limit| shared.reconfigure(&limit.scope.identity, limit.pool)).collect();
        shared.on_root(root, uptime);
        drop(shared);
        self.pools = Some(Pools { worker, root, live });
    }

    /// Counts the faults that the pools met since the last call.
    pub fn count_faults(&self, meter: &impl Meter) {
        let Some(pools) = &self.pools else { return };
        let faults = pools.worker.borrow_mut().drain_faults();
        let sink = MetricsSink { counters: &self.counters, meter };
        faults.into_iter().for_each(|fault| sink.observe(Event::Fault(fault)));
    }

    /// Counts the invariants that broke since the last call.
    pub(super) fn count_broken_invariants(&self, meter: &impl Meter) {
        let sink = MetricsSink { counters: &self.counters, meter };
        for _ in 0..drain_broken() {
            sink.observe(Event::Fault(Fault::Invariant));
        }
    }
}
