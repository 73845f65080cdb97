//! The contexts of this VM: roots, each with a policy, and the streams under them.
//!
//! A callback takes its context from the table and drops the borrow before it calls the host, so
//! the host may call back meanwhile.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use super::abi::{self, Buffer, DataStatus, HeadersStatus, Map, TrailersStatus};
use super::host::Envoy;
use super::{bodies, root};
use crate::filter::runtime::Runtime;
use crate::filter::sharing::CallResult;
use crate::filter::stream::{Flow, Stream};
use crate::host::stream::{CallToken, UsageToken};
use crate::payload::slice::Slice;
use crate::queue::membership::RootId;
use crate::queue::stream::StreamId;

/// A stream, shared by the callers that have an event for it.
pub(super) type SharedStream = Rc<RefCell<Stream<Envoy>>>;

/// A stream, and the root that it is under.
#[derive(Clone)]
struct Entry {
    stream: SharedStream,
    root: RootId,
}

#[derive(Default)]
struct Contexts {
    /// Without a policy, if Envoy made a context for a configuration that it refused.
    roots: BTreeMap<u32, Option<Rc<Runtime<Envoy>>>>,
    /// A stream under a root without a policy is not there, and passes.
    streams: BTreeMap<u32, Entry>,
}

thread_local! {
    static CONTEXTS: RefCell<Contexts> = RefCell::default();
}

/// A context begins: a root, if it is under none.
pub(super) fn create(context: u32, root: u32) {
    CONTEXTS.with_borrow_mut(|contexts| {
        if root == 0 {
            contexts.roots.insert(context, None);
        } else if let Some(Some(runtime)) = contexts.roots.get(&root) {
            let stream = Stream::new(Rc::clone(runtime), StreamId(context));
            let entry = Entry {
                stream: Rc::new(RefCell::new(stream)),
                root: RootId(root),
            };
            contexts.streams.insert(context, entry);
        }
    });
}

/// A context ends.
pub(super) fn delete(context: u32) {
    // It is a stream nearly always.
    if let Some(Entry { stream, .. }) =
        CONTEXTS.with_borrow_mut(|contexts| contexts.streams.remove(&context))
    {
        bodies::end(StreamId(context));
        stream.borrow_mut().on_end(&Envoy);
    } else if let Some(runtime) =
        CONTEXTS.with_borrow_mut(|contexts| contexts.roots.remove(&context))
    {
        if let Some(runtime) = runtime {
            runtime.flush_usage(&Envoy, &mut root::define);
            runtime.flush_uploads(&Envoy);
        }
        root::gone(RootId(context));
    }
}

/// A root gets its policy, of `size` bytes. False refuses it: Envoy keeps the one that it has.
pub(super) fn configure(root: u32, size: usize) -> bool {
    let runtime = root::start(RootId(root), size);
    let started = runtime.is_some();
    CONTEXTS.with_borrow_mut(|contexts| contexts.roots.insert(root, runtime.map(Rc::new)));
    started
}

/// A tick of a root.
pub(super) fn on_tick(root: u32) {
    root::on_tick(RootId(root));
    if let Some(runtime) = runtime(root) {
        runtime.count_faults(&Envoy);
        if runtime.is_shared() {
            let woken = runtime.on_share_tick(&Envoy);
            decide_again(root, woken);
            tick_as_needed(root, &runtime);
        }
        runtime.on_usage_tick(&Envoy, &mut root::define);
        runtime.on_uploads_tick(&Envoy);
    }
}

/// A call of a root has ended. Without a header it was reset, and there is nothing to read.
pub(super) fn on_call(root: u32, token: u32, headers: usize, body_size: usize) {
    let Some(runtime) = runtime(root) else { return };
    if runtime.has_usage() {
        let result = match headers {
            0 => Err("the connection was reset".to_owned()),
            _ => accepted(&abi::header(Map::CallResponseHeaders, ":status").unwrap_or_default()),
        };
        let body = |()| abi::bytes(Buffer::CallResponseBody, 0, body_size.min(CALL_BYTES_MAX));
        let (token, result) = (UsageToken::Http(CallToken(token)), result.map(body));
        if runtime.on_usage_call(&Envoy, token, result) {
            return;
        }
    }
    let body = match headers {
        0 => Vec::new(),
        _ => abi::bytes(Buffer::CallResponseBody, 0, body_size.min(CALL_BYTES_MAX)),
    };
    let is_answer = || abi::header(Map::CallResponseHeaders, ":status").as_deref() == Some(b"200");
    let result = match headers {
        0 => CallResult::Reset,
        _ if is_answer() => CallResult::Answered(&body),
        _ => CallResult::Refused(&body),
    };
    let woken = runtime.on_call(&Envoy, CallToken(token), result);
    decide_again(root, woken);
    runtime.end_call();
    tick_as_needed(root, &runtime);
}

/// A gRPC call of a root has an answer of this size.
pub(super) fn on_grpc_message(root: u32, token: u32, size: usize) {
    if let Some(runtime) = runtime(root) {
        let message = abi::bytes(Buffer::GrpcMessage, 0, size.min(CALL_BYTES_MAX));
        runtime.on_usage_call(&Envoy, UsageToken::Grpc(CallToken(token)), Ok(message));
    }
}

/// A gRPC call of a root has ended with this status.
pub(super) fn on_grpc_end(root: u32, token: u32, status: u32) {
    if let Some(runtime) = runtime(root) {
        let result = match status {
            0 => Ok(Vec::new()),
            other => Err(format!("the gRPC status is {other}")),
        };
        runtime.on_usage_call(&Envoy, UsageToken::Grpc(CallToken(token)), result);
    }
}

/// Whether an HTTP status says that a body was accepted.
fn accepted(status: &[u8]) -> Result<(), String> {
    match status {
        [b'2', ..] => Ok(()),
        other => Err(format!("the status is {}", String::from_utf8_lossy(other))),
    }
}

/// Ticks as often as requests that wait for the engine need.
fn tick_as_needed(root: u32, runtime: &Runtime<Envoy>) {
    if let Some(period) = runtime.share_period() {
        bodies::tick_at_least(RootId(root), period);
    }
}

/// Lets requests that waited for the engine decide again.
fn decide_again(root: u32, woken: Vec<StreamId>) {
    if woken.is_empty() {
        return;
    }
    for id in woken {
        let Some(stream) = enter(id) else { continue };
        let mut stream = stream.borrow_mut();
        let flow = stream.on_engine_answer(&Envoy, &mut bodies::slice());
        if stream.is_suspended() {
            bodies::suspend(id, RootId(root));
        }
        drop(stream);
        if flow == Flow::Continue {
            abi::resume_request();
        }
    }
    abi::set_effective_context(root);
}

fn runtime(root: u32) -> Option<Rc<Runtime<Envoy>>> {
    CONTEXTS.with_borrow(|contexts| contexts.roots.get(&root).cloned().flatten())
}

/// The most bytes of an answer that are read: more than the answers to all takes of a call have.
const CALL_BYTES_MAX: usize = 64 * 1024;

pub(super) fn on_request_headers(context: u32, ends: bool) -> HeadersStatus {
    #[cfg(feature = "trap")]
    if abi::header(abi::Map::RequestHeaders, "x-trap").is_some() {
        std::process::abort();
    }
    let Some(Entry { stream, root }) = entry(context) else {
        return HeadersStatus::Continue;
    };
    let mut stream = stream.borrow_mut();
    match stream.on_request_headers(&Envoy, ends) {
        Flow::Continue => HeadersStatus::Continue,
        Flow::Hold => {
            if stream.is_watched() {
                bodies::watch(StreamId(context), root);
            }
            HeadersStatus::StopIteration
        }
        Flow::Stop => HeadersStatus::StopIteration,
        Flow::Suspend | Flow::Wait => HeadersStatus::StopAllIterationAndWatermark,
    }
}

pub(super) fn on_request_body(context: u32, size: usize, ends: bool) -> DataStatus {
    match with_slice(context, |stream, slice| {
        stream.on_request_body(&Envoy, size, ends, slice)
    }) {
        Flow::Continue => DataStatus::Continue,
        Flow::Suspend => DataStatus::StopIterationAndWatermark,
        Flow::Hold | Flow::Stop | Flow::Wait => DataStatus::StopIterationAndBuffer,
    }
}

pub(super) fn on_request_trailers(context: u32) -> TrailersStatus {
    match with_slice(context, |stream, slice| {
        stream.on_request_trailers(&Envoy, slice)
    }) {
        Flow::Continue => TrailersStatus::Continue,
        Flow::Hold | Flow::Stop | Flow::Suspend | Flow::Wait => TrailersStatus::StopIteration,
    }
}

pub(super) fn on_response_headers(context: u32) -> HeadersStatus {
    if let Some(Entry { stream, .. }) = entry(context) {
        stream.borrow_mut().on_response_headers(&Envoy);
    }
    HeadersStatus::Continue
}

pub(super) fn on_response_trailers(context: u32) -> TrailersStatus {
    if let Some(Entry { stream, .. }) = entry(context) {
        stream.borrow_mut().on_response_trailers(&Envoy);
    }
    TrailersStatus::Continue
}

/// The stream, and makes the calls that follow its own; `None` if it has ended.
pub(super) fn enter(id: StreamId) -> Option<SharedStream> {
    let Entry { stream, .. } = entry(id.0)?;
    abi::set_effective_context(id.0).then_some(stream)
}

/// A root with a policy, if there is any.
pub(super) fn any_root() -> Option<RootId> {
    CONTEXTS.with_borrow(|contexts| {
        contexts
            .roots
            .iter()
            .rev()
            .find(|(_, runtime)| runtime.is_some())
            .map(|(root, _)| RootId(*root))
    })
}

/// An event of a stream that may take a slice of work; the remaining work continues later.
fn with_slice(context: u32, event: impl FnOnce(&mut Stream<Envoy>, &mut Slice) -> Flow) -> Flow {
    let Some(Entry { stream, root }) = entry(context) else {
        return Flow::Continue;
    };
    let mut stream = stream.borrow_mut();
    let flow = event(&mut stream, &mut bodies::slice());
    if stream.is_suspended() {
        bodies::suspend(StreamId(context), root);
    }
    flow
}

fn entry(context: u32) -> Option<Entry> {
    CONTEXTS.with_borrow(|contexts| contexts.streams.get(&context).cloned())
}
