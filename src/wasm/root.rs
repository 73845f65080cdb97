//! Envoy's callbacks: a policy to take, then one stream after the other.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;
use std::time::Duration;

use log::{error, info};
use proxy_wasm::traits::{Context, HttpContext, RootContext};
use proxy_wasm::types::{Action as HostAction, ContextType};

use super::abi;
use super::host::Envoy;
use crate::filter::runtime::Runtime;
use crate::filter::stream::{Flow, Stream};
use crate::host::fault::Fault;
use crate::host::stream::{CounterId, MetricKind, Uptime};
use crate::policy::Policy;
use crate::policy::document::from_configuration;
use crate::queue::membership::RootId;
use crate::queue::stream::{Action, StreamId};
use crate::queue::worker::{TICK, Worker};
use crate::store::key::Secret;

thread_local! {
    /// The metrics of this VM by name: policies come and go, and Envoy never forgets a number.
    static METRICS: RefCell<HashMap<String, CounterId>> = RefCell::default();
    /// What gives out slots in this VM, whatever policies it serves.
    static WORKER: RefCell<Option<SharedWorker>> = const { RefCell::new(None) };
    /// The streams that wait for their turn.
    static WAITING: RefCell<BTreeMap<StreamId, SharedStream>> = const { RefCell::new(BTreeMap::new()) };
}

type SharedWorker = Rc<RefCell<Worker<Envoy>>>;
type SharedStream = Rc<RefCell<Stream<Envoy>>>;

/// Faults of a policy that are written to the log; `sluicegate check` shows all.
const FAULTS_LOGGED_MAX: usize = 20;

/// One policy in one worker.
pub(super) struct Root {
    id: u32,
    runtime: Option<Rc<Runtime<Envoy>>>,
}

impl Root {
    /// The root context with this number.
    pub(super) const fn new(id: u32) -> Self {
        Self { id, runtime: None }
    }

    fn start(&self, policy: Policy) -> Result<Runtime<Envoy>, Fault> {
        let mut fresh = Secret::default();
        getrandom::fill(&mut fresh).map_err(|_| Fault::HostStatus(0))?;
        let mut runtime = Runtime::start(policy, Envoy, &fresh, define)?;
        if runtime.has_pools() {
            runtime.join(worker(&fresh)?, RootId(self.id), Envoy.uptime());
            self.set_tick_period(Duration::from_nanos(TICK.nanos()));
        }
        Ok(runtime)
    }

    /// Carries out what the worker answers.
    fn answer(&self, actions: Vec<Action>) {
        if actions.is_empty() {
            return;
        }
        for Action { stream: id, answer } in actions {
            let stream = WAITING.with_borrow_mut(|waiting| waiting.remove(&id));
            let Some(stream) = stream.filter(|_| abi::set_effective_context(id.0)) else {
                // It has ended.
                with_worker(|worker| worker.leave(id, Envoy.uptime()));
                continue;
            };
            let resumes = stream.borrow_mut().on_turn(&Envoy, answer);
            if resumes {
                abi::resume_request();
            }
        }
        abi::set_effective_context(self.id);
    }
}

impl Context for Root {
    fn on_done(&mut self) -> bool {
        with_worker(|worker| worker.on_root_gone(RootId(self.id)));
        true
    }
}

impl RootContext for Root {
    /// False refuses the policy: Envoy keeps the one that it has.
    fn on_configure(&mut self, _: usize) -> bool {
        let configuration = self.get_plugin_configuration().unwrap_or_default();
        let Some(policy) = compile(&configuration) else { return false };
        let summary = format!("policy {}: {} limits, {} tiers", policy.name, policy.limits.len(), policy.tiers.len());
        match self.start(policy) {
            Ok(runtime) => {
                info!("sluicegate {}: {summary}", env!("CARGO_PKG_VERSION"));
                self.runtime = Some(Rc::new(runtime));
                true
            }
            Err(fault) => {
                error!("{summary}: the host's shared data or random numbers cannot be used ({fault:?})");
                false
            }
        }
    }

    fn on_tick(&mut self) {
        let actions = with_worker(|worker| worker.on_tick(RootId(self.id), Envoy.uptime()));
        self.answer(actions.unwrap_or_default());
        if let Some(runtime) = &self.runtime {
            runtime.count_faults(&Envoy);
        }
    }

    fn on_queue_ready(&mut self, _: u32) {
        let actions = with_worker(|worker| worker.on_message(Envoy.uptime()));
        self.answer(actions.unwrap_or_default());
    }

    fn create_http_context(&self, id: u32) -> Option<Box<dyn HttpContext>> {
        let id = StreamId(id);
        let stream = self.runtime.clone().map(|runtime| Rc::new(RefCell::new(Stream::new(runtime, id))));
        Some(Box::new(HttpStream { id, stream }))
    }

    fn get_type(&self) -> Option<ContextType> {
        Some(ContextType::HttpContext)
    }
}

/// The worker of this VM, which begins with the first policy that has pools.
fn worker(fresh: &Secret) -> Result<SharedWorker, Fault> {
    WORKER.with_borrow_mut(|worker| match worker {
        Some(worker) => Ok(Rc::clone(worker)),
        None => {
            let opened = Rc::new(RefCell::new(Worker::open(Envoy, fresh)?));
            *worker = Some(Rc::clone(&opened));
            Ok(opened)
        }
    })
}

/// Asks the worker, and lets go of it before anything is done.
fn with_worker<T>(ask: impl FnOnce(&mut Worker<Envoy>) -> T) -> Option<T> {
    WORKER.with_borrow(|worker| worker.as_ref().map(|worker| ask(&mut worker.borrow_mut())))
}

/// The checked policy; its faults go to the log.
fn compile(configuration: &[u8]) -> Option<Policy> {
    let document = from_configuration(configuration).inspect_err(|syntax| error!("policy refused: {syntax}")).ok()?;
    let compiled = Policy::compile(&document);
    compiled
        .inspect_err(|faults| {
            for fault in faults.iter().take(FAULTS_LOGGED_MAX) {
                error!("policy refused: {fault}");
            }
            if let Some(more) = faults.len().checked_sub(FAULTS_LOGGED_MAX).filter(|more| *more > 0) {
                error!("policy refused: {more} faults more; `sluicegate check` shows them all");
            }
        })
        .ok()
}

fn define(kind: MetricKind, name: &str) -> CounterId {
    METRICS.with_borrow_mut(|metrics| match metrics.get(name) {
        Some(id) => *id,
        None => {
            // A number that no metric has: adding to it does nothing.
            let id = CounterId(abi::define_metric(kind as u32, name).unwrap_or(u32::MAX));
            metrics.insert(name.to_owned(), id);
            id
        }
    })
}

fn action(flow: Option<Flow>) -> HostAction {
    match flow {
        Some(Flow::Stop | Flow::Hold | Flow::Wait) => HostAction::Pause,
        Some(Flow::Continue) | None => HostAction::Continue,
    }
}

/// A stream; without a policy (Envoy made a context for a configuration that it refused) it passes.
struct HttpStream {
    id: StreamId,
    stream: Option<SharedStream>,
}

impl HttpStream {
    fn with<T>(&self, event: impl FnOnce(&mut Stream<Envoy>) -> T) -> Option<T> {
        self.stream.as_ref().map(|stream| event(&mut stream.borrow_mut()))
    }
}

impl Context for HttpStream {}

impl HttpContext for HttpStream {
    fn on_http_request_headers(&mut self, _: usize, end_of_stream: bool) -> HostAction {
        #[cfg(feature = "trap")]
        if self.get_http_request_header_bytes("x-trap").is_some() {
            std::process::abort();
        }
        let flow = self.with(|stream| stream.on_request_headers(&Envoy, end_of_stream));
        if let (Some(Flow::Wait), Some(stream)) = (flow, &self.stream) {
            WAITING.with_borrow_mut(|waiting| waiting.insert(self.id, Rc::clone(stream)));
        }
        action(flow)
    }

    fn on_http_request_body(&mut self, body_size: usize, end_of_stream: bool) -> HostAction {
        action(self.with(|stream| stream.on_request_body(&Envoy, body_size, end_of_stream)))
    }

    fn on_http_request_trailers(&mut self, _: usize) -> HostAction {
        action(self.with(|stream| stream.on_request_trailers(&Envoy)))
    }

    fn on_http_response_headers(&mut self, _: usize, _: bool) -> HostAction {
        self.with(|stream| stream.on_response_headers(&Envoy));
        HostAction::Continue
    }

    fn on_http_response_trailers(&mut self, _: usize) -> HostAction {
        self.with(|stream| stream.on_response_trailers(&Envoy));
        HostAction::Continue
    }

    fn on_log(&mut self) {
        WAITING.with_borrow_mut(|waiting| waiting.remove(&self.id));
        self.with(|stream| stream.on_log(&Envoy));
    }
}
