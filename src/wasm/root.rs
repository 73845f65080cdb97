//! Envoy's callbacks: a policy to take, then one stream after the other.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use log::{error, info};
use proxy_wasm::traits::{Context, HttpContext, RootContext};
use proxy_wasm::types::{Action, ContextType};

use super::abi;
use super::host::Envoy;
use crate::filter::runtime::Runtime;
use crate::filter::stream::{Flow, Stream};
use crate::host::stream::CounterId;
use crate::policy::Policy;
use crate::policy::document::from_configuration;
use crate::store::key::Secret;

thread_local! {
    /// The counters of this VM by name: policies come and go, and Envoy never forgets a number.
    static COUNTERS: RefCell<HashMap<String, CounterId>> = RefCell::default();
}

/// Faults of a policy that are written to the log; `sluicegate check` shows all.
const FAULTS_LOGGED_MAX: usize = 20;

/// One policy in one worker.
#[derive(Default)]
pub(super) struct Root {
    runtime: Option<Rc<Runtime<Envoy>>>,
}

impl Context for Root {}

impl RootContext for Root {
    /// False refuses the policy: Envoy keeps the one that it has.
    fn on_configure(&mut self, _: usize) -> bool {
        let configuration = self.get_plugin_configuration().unwrap_or_default();
        let Some(policy) = compile(&configuration) else { return false };
        let summary = format!("policy {}: {} limits, {} tiers", policy.name, policy.limits.len(), policy.tiers.len());
        let mut fresh = Secret::default();
        if getrandom::fill(&mut fresh).is_err() {
            error!("no random numbers to be had from the host: no policy can be put to work");
            return false;
        }
        match Runtime::start(policy, Envoy, &fresh, define) {
            Ok(runtime) => {
                info!("sluicegate {}: {summary}", env!("CARGO_PKG_VERSION"));
                self.runtime = Some(Rc::new(runtime));
                true
            }
            Err(fault) => {
                error!("{summary}: shared data cannot be used ({fault:?})");
                false
            }
        }
    }

    fn create_http_context(&self, _: u32) -> Option<Box<dyn HttpContext>> {
        Some(Box::new(HttpStream { stream: self.runtime.clone().map(Stream::new) }))
    }

    fn get_type(&self) -> Option<ContextType> {
        Some(ContextType::HttpContext)
    }
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

fn define(name: &str) -> CounterId {
    COUNTERS.with_borrow_mut(|counters| match counters.get(name) {
        Some(id) => *id,
        None => {
            // A number that no counter has: adding to it does nothing.
            let id = CounterId(abi::define_counter(name).unwrap_or(u32::MAX));
            counters.insert(name.to_owned(), id);
            id
        }
    })
}

fn action(flow: Option<Flow>) -> Action {
    match flow {
        Some(Flow::Stop | Flow::Hold) => Action::Pause,
        Some(Flow::Continue) | None => Action::Continue,
    }
}

/// A stream; without a policy (Envoy made a context for a configuration that it refused) it passes.
struct HttpStream {
    stream: Option<Stream<Envoy>>,
}

impl Context for HttpStream {}

impl HttpContext for HttpStream {
    fn on_http_request_headers(&mut self, _: usize, end_of_stream: bool) -> Action {
        action(self.stream.as_mut().map(|stream| stream.on_request_headers(&Envoy, end_of_stream)))
    }

    fn on_http_request_body(&mut self, body_size: usize, end_of_stream: bool) -> Action {
        action(self.stream.as_mut().map(|stream| stream.on_request_body(&Envoy, body_size, end_of_stream)))
    }

    fn on_http_request_trailers(&mut self, _: usize) -> Action {
        action(self.stream.as_mut().map(|stream| stream.on_request_trailers(&Envoy)))
    }

    fn on_http_response_headers(&mut self, _: usize, _: bool) -> Action {
        if let Some(stream) = &mut self.stream {
            stream.on_response_headers(&Envoy);
        }
        Action::Continue
    }

    fn on_http_response_trailers(&mut self, _: usize) -> Action {
        if let Some(stream) = &mut self.stream {
            stream.on_response_trailers(&Envoy);
        }
        Action::Continue
    }

    fn on_log(&mut self) {
        if let Some(stream) = &mut self.stream {
            stream.on_log(&Envoy);
        }
    }
}
