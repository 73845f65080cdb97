//! State that all streams under one policy share within one worker.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use super::queued::Pools;
use super::sharing::Sharing;
use super::uploads::Statement;
use super::usage::Export;
use crate::base::invariant::drain_broken;
use crate::base::time::Span;
use crate::host::fault::Fault;
use crate::host::queue::SharedQueue;
use crate::host::shared::SharedData;
use crate::host::stream::{Meter, MetricId, MetricKind, Properties};
use crate::observe::metrics::Metrics;
use crate::observe::{Event, store_events};
use crate::payload::memory::Budget;
use crate::policy::Policy;
use crate::policy::replies::Fields;
use crate::queue::membership::RootId;
use crate::queue::worker::Worker;
use crate::reply::fields;
use crate::request::applicable::Applicable;
use crate::request::caller_cache::CallerCache;
use crate::request::head::Request;
use crate::request::properties::resolve_node_metadata;
use crate::store::key::{LimitKeys, Secret};
use crate::store::shared::SharedStore;
use crate::store::{LimitCheck, Store as _};

/// A policy that is enforced, with everything that its streams share.
#[derive(Debug)]
pub struct Runtime<D> {
    /// The policy.
    pub policy: Policy,
    pub(super) store: RefCell<SharedStore<D>>,
    pub(super) keys: LimitKeys,
    pub(super) metrics: Metrics,
    /// The names of all fields that responses may carry.
    pub(super) field_names: Vec<Box<str>>,
    /// Whether the fields of a refusal state limits that did not refuse.
    pub(super) states_others: bool,
    /// Whether the fields of a response show something of the head of its request.
    pub(super) shows_request: bool,
    /// Seeds the fingerprints of archive entries. Clients do not know it.
    pub(super) seed: Secret,
    /// The pools; `None` if the policy has none.
    pub(super) pools: Option<Pools<D>>,
    /// Whether a held body has arrived, which shows that the host lets the filter hold heads.
    pub(super) holds: Cell<bool>,
    /// The memory for bodies that are inspected, shared by all policies.
    pub(super) bodies: Budget,
    /// What this worker states of these bodies; `None` if the policy inspects none.
    pub(super) uploads: Option<Statement>,
    /// The calls to the engine; `None` if no limit is shared.
    pub(super) sharing: Option<RefCell<Sharing>>,
    /// The export of usage; `None` if the policy wants none.
    pub(super) usage: Option<RefCell<Export>>,
    /// The buffers of the request head that is read; `None` while it is read.
    pub(super) scratch: RefCell<Option<Box<Scratch>>>,
    /// The line of the last request for the access log. The next request uses its memory.
    pub(super) line: RefCell<String>,
}

/// Buffers for one request head.
#[derive(Debug, Default)]
pub(super) struct Scratch {
    pub(super) request: Request,
    pub(super) applicable: Applicable,
    pub(super) checks: Vec<LimitCheck>,
    pub(super) caller_cache: CallerCache,
}

impl<D: SharedData + Properties> Runtime<D> {
    /// Starts enforcing `policy`. Stores `candidate` as the proxy's secret unless a worker already
    /// stored one. All policies in this VM share the memory of `bodies`, and the bodies of this one
    /// are counted by themselves.
    ///
    /// # Errors
    /// [`Fault`] if the host's shared data fails.
    pub fn start(
        mut policy: Policy,
        data: D,
        candidate: &Secret,
        bodies: &Budget,
        define: impl FnMut(MetricKind, &str) -> MetricId,
    ) -> Result<Self, Fault> {
        resolve_node_metadata(&mut policy, &data);
        let store = SharedStore::open(data, &policy.name, policy.keys_max, candidate)?;
        let keys = LimitKeys::new(store.keys(), &policy.identities());
        let metrics = Metrics::define(&policy, define);
        let field_names = fields::names(&policy);
        let states_others = fields::state_others(&policy);
        let shown = policy.replies.fields.as_ref();
        let shows_request = shown.is_some_and(Fields::show_the_request);
        let uploads = Statement::of(&policy);
        let scratch = Scratch {
            caller_cache: CallerCache::new(candidate),
            ..Scratch::default()
        };
        Ok(Self {
            policy,
            store: RefCell::new(store),
            keys,
            metrics,
            field_names,
            states_others,
            shows_request,
            seed: *candidate,
            pools: None,
            sharing: None,
            usage: None,
            holds: Cell::default(),
            bodies: bodies.for_another_policy(),
            uploads,
            scratch: RefCell::new(Some(Box::new(scratch))),
            line: RefCell::default(),
        })
    }
}

impl<D: SharedData> Runtime<D> {
    /// Shows the number of counters, if this began them. After that all workers change it.
    pub fn show_counters(&self, meter: &impl Meter) {
        if self.store.borrow().is_new() {
            self.metrics.begin(meter);
        }
    }

    /// Changes counters, and counts the events of the store meanwhile.
    pub(super) fn with_counters<T>(
        &self,
        meter: &impl Meter,
        change: impl FnOnce(&mut SharedStore<D>) -> T,
    ) -> T {
        let mut store = self.store.borrow_mut();
        let result = change(&mut store);
        let stats = store.drain_stats();
        drop(store);
        store_events(stats, |event| self.metrics.observe(meter, event));
        result
    }
}

impl<D: SharedData + SharedQueue> Runtime<D> {
    /// Whether the policy has pools. If so, [`Runtime::join`] must be called.
    #[must_use]
    pub fn has_pools(&self) -> bool {
        !self.policy.pools.is_empty()
    }

    /// Starts enforcing the policy's pools. Their limits now apply to all streams of this VM.
    pub fn join(&mut self, worker: Rc<RefCell<Worker<D>>>, root: RootId, uptime: Span) {
        let mut shared = worker.borrow_mut();
        let live = self
            .policy
            .pools
            .iter()
            .map(|limit| shared.reconfigure(&limit.scope.identity, limit.applied()))
            .collect();
        shared.on_root(root, uptime);
        drop(shared);
        self.pools = Some(Pools { worker, root, live });
    }

    /// Counts the faults that the pools met since the last call.
    pub fn count_faults(&self, meter: &impl Meter) {
        let Some(pools) = &self.pools else { return };
        let faults = pools.worker.borrow_mut().drain_faults();
        for fault in faults {
            self.metrics.observe(meter, Event::Fault(fault));
        }
    }

    /// Counts the invariants that broke since the last call.
    pub(super) fn count_broken_invariants(&self, meter: &impl Meter) {
        for _ in 0..drain_broken() {
            self.metrics.observe(meter, Event::Fault(Fault::Invariant));
        }
    }
}
