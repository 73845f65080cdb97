//! A root context: it starts a policy, and carries out the answers of the queue.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use log::{error, info};

use super::abi::{self, Buffer};
use super::host::Envoy;
use super::{bodies, contexts};
use crate::base::number::counted;
use crate::base::version::BUILD;
use crate::filter::announce::announce;
use crate::filter::runtime::Runtime;
use crate::filter::{sharing, usage};
use crate::host::fault::Fault;
use crate::host::stream::{MetricId, MetricKind, Uptime as _};
use crate::payload::memory::Budget;
use crate::policy::Policy;
use crate::policy::error::PolicyError;
use crate::policy::packed::{self, ConfigurationError};
use crate::queue::membership::RootId;
use crate::queue::stream::Action;
use crate::queue::worker::{ACTIONS_MAX, TICK, Worker};
use crate::store::key::Secret;

thread_local! {
    /// The metrics of this VM by name: policies are replaced, and Envoy never forgets a number.
    static METRICS: RefCell<HashMap<String, MetricId>> = RefCell::default();
    /// The worker that grants slots in this VM, for all policies.
    static WORKER: RefCell<Option<SharedWorker>> = const { RefCell::new(None) };
    /// The memory for bodies in this VM, for all policies.
    static BODIES: Budget = Budget::default();
}

type SharedWorker = Rc<RefCell<Worker<Envoy>>>;

/// Most errors of a policy that are written to the log; `sluicegate check` lists all of them.
const ERRORS_LOGGED_MAX: usize = 20;

/// Starts the policy of a root, which has `size` bytes; `None` if it cannot, which the log
/// explains.
pub(super) fn start(root: RootId, size: usize) -> Option<Runtime<Envoy>> {
    let policy = compile(size)?;
    let summary = format!(
        "policy {}, revision {}: {}, {}",
        policy.name,
        policy.revision,
        counted(policy.limits.len(), "limit"),
        counted(policy.tiers.len(), "tier")
    );
    match run(root, policy) {
        Ok(runtime) => {
            info!("sluicegate {BUILD}: {summary}");
            Some(runtime)
        }
        Err(Fault::Random) => {
            error!("{summary}: cannot draw a secret: {}", Fault::Random);
            None
        }
        Err(fault) => {
            error!("{summary}: cannot read shared data: {fault}");
            None
        }
    }
}

fn run(root: RootId, policy: Policy) -> Result<Runtime<Envoy>, Fault> {
    let mut candidate = Secret::default();
    getrandom::fill(&mut candidate).map_err(|_| Fault::Random)?;
    let mut runtime = Runtime::start(
        policy,
        Envoy,
        &candidate,
        &BODIES.with(Budget::clone),
        define,
    )?;
    if runtime.has_pools() {
        runtime.join(worker(&candidate)?, root, Envoy.uptime());
        bodies::tick_at_least(root, TICK);
    }
    if runtime.is_shared() {
        let variable = runtime.policy.engine.as_ref();
        let variable = variable.and_then(|engine| engine.password.as_deref());
        runtime.share(root, variable.and_then(password));
        bodies::tick_at_least(root, sharing::TICK);
    }
    runtime.show_counters(&Envoy);
    if runtime.has_usage() {
        runtime.export(root);
    }
    // A root with shared limits or pools ticks more often.
    let ticks_anyway = runtime.is_shared() || runtime.has_pools();
    if (runtime.has_usage() || runtime.has_uploads()) && !ticks_anyway {
        bodies::tick_at_least(root, usage::TICK);
    }
    announce(&runtime.policy, &Envoy, define)?;
    Ok(runtime)
}

/// The password in this environment variable of the plugin.
fn password(variable: &str) -> Option<Box<str>> {
    match std::env::var(variable) {
        Ok(password) if !password.is_empty() => Some(password.into()),
        Ok(_) | Err(_) => {
            error!(
                "the environment of the plugin has no {variable}, which `store.engine.password` \
                 names: add it to vm_config.environment_variables"
            );
            None
        }
    }
}

pub(super) fn on_tick(root: RootId) {
    let actions = with_worker(|worker| worker.on_tick(root, Envoy.uptime())).unwrap_or_default();
    let answers_max = ACTIONS_MAX.saturating_sub(actions.len());
    answer(root, actions);
    bodies::on_tick(root, answers_max);
}

pub(super) fn on_queue_ready(root: RootId) {
    let actions = with_worker(|worker| worker.on_message(Envoy.uptime()));
    answer(root, actions.unwrap_or_default());
}

pub(super) fn gone(root: RootId) {
    bodies::on_root_gone(root);
    with_worker(|worker| worker.on_root_gone(root));
}

/// Carries out the answers of the worker.
fn answer(root: RootId, actions: Vec<Action>) {
    if actions.is_empty() {
        return;
    }
    for Action { stream: id, answer } in actions {
        let Some(stream) = contexts::enter(id) else {
            // The stream has ended.
            with_worker(|worker| worker.release(id, Envoy.uptime()));
            continue;
        };
        let resumes = stream.borrow_mut().on_queue_answer(&Envoy, answer);
        if resumes {
            abi::resume_request();
        }
    }
    abi::set_effective_context(root.0);
}

/// The worker of this VM, which begins with the first policy that has pools.
fn worker(candidate: &Secret) -> Result<SharedWorker, Fault> {
    WORKER.with_borrow_mut(|worker| match worker {
        Some(worker) => Ok(Rc::clone(worker)),
        None => {
            let opened = Rc::new(RefCell::new(Worker::open(Envoy, candidate)?));
            *worker = Some(Rc::clone(&opened));
            Ok(opened)
        }
    })
}

/// Asks the worker, and drops the borrow before the answer is carried out.
fn with_worker<T>(ask: impl FnOnce(&mut Worker<Envoy>) -> T) -> Option<T> {
    WORKER.with_borrow(|worker| worker.as_ref().map(|worker| ask(&mut worker.borrow_mut())))
}

/// Compiles the policy in a configuration of `size` bytes; its errors go to the log.
fn compile(size: usize) -> Option<Policy> {
    let part = |start, bytes| abi::bytes(Buffer::PluginConfiguration, start, bytes);
    match packed::read(size, part) {
        Ok(policy) => return Some(policy),
        Err(ConfigurationError::Syntax(syntax)) => error!("policy rejected: {syntax}"),
        Err(ConfigurationError::Table(damage)) => error!("policy rejected: {damage}"),
        Err(ConfigurationError::Policy(errors)) => log_errors(&errors),
    }
    None
}

fn log_errors(errors: &[PolicyError]) {
    for error in errors.iter().take(ERRORS_LOGGED_MAX) {
        error!("policy rejected: {error}");
    }
    if let Some(more) = errors
        .len()
        .checked_sub(ERRORS_LOGGED_MAX)
        .filter(|more| *more > 0)
    {
        error!(
            "policy rejected: {}; `sluicegate check` lists them all",
            counted(more, "more error")
        );
    }
}

pub(super) fn define(kind: MetricKind, name: &str) -> MetricId {
    METRICS.with_borrow_mut(|metrics| match metrics.get(name) {
        Some(id) => *id,
        None => {
            // A number that no metric has: adding to it does nothing.
            let id = MetricId(abi::define_metric(kind as u32, name).unwrap_or(u32::MAX));
            metrics.insert(name.to_owned(), id);
            id
        }
    })
}
