//! What the contexts of this VM are: roots, each with a policy, and the streams under them.
//!
//! A callback takes what it needs out of the table and lets go of the table before it calls the host,
//! so it does not matter what the host calls meanwhile.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use super::host::Envoy;
use super::{abi, root};
use crate::filter::runtime::Runtime;
use crate::filter::stream::{Flow, Stream};
use crate::queue::membership::RootId;
use crate::queue::stream::StreamId;

/// A stream, for whoever has an event of it.
pub(super) type SharedStream = Rc<RefCell<Stream<Envoy>>>;

#[derive(Default)]
struct Contexts {
    /// Without a policy, where Envoy made a context for a configuration that it refused.
    roots: BTreeMap<u32, Option<Rc<Runtime<Envoy>>>>,
    /// A stream under a root without a policy is not there, and passes.
    streams: BTreeMap<u32, SharedStream>,
}

thread_local! {
    static CONTEXTS: RefCell<Contexts> = RefCell::default();
}

/// What the host does with a message: lets it go on, or not.
const CONTINUE: u32 = 0;
const PAUSE: u32 = 1;

/// A context begins: a root, where it is under none.
pub(super) fn create(context: u32, root: u32) {
    CONTEXTS.with_borrow_mut(|contexts| {
        if root == 0 {
            contexts.roots.insert(context, None);
        } else if let Some(Some(runtime)) = contexts.roots.get(&root) {
            let stream = Stream::new(Rc::clone(runtime), StreamId(context));
            contexts.streams.insert(context, Rc::new(RefCell::new(stream)));
        }
    });
}

/// A context ends.
pub(super) fn delete(context: u32) {
    // It is a stream nearly always.
    if let Some(stream) = CONTEXTS.with_borrow_mut(|contexts| contexts.streams.remove(&context)) {
        stream.borrow_mut().on_end(&Envoy);
    } else if CONTEXTS.with_borrow_mut(|contexts| contexts.roots.remove(&context)).is_some() {
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
    if let Some(Some(runtime)) = CONTEXTS.with_borrow(|contexts| contexts.roots.get(&root).cloned()) {
        runtime.count_faults(&Envoy);
    }
}

pub(super) fn on_request_headers(context: u32, ends: bool) -> u32 {
    #[cfg(feature = "trap")]
    if abi::header(abi::Map::RequestHeaders, "x-trap").is_some() {
        std::process::abort();
    }
    with(context, |stream| stream.on_request_headers(&Envoy, ends)).map_or(CONTINUE, action)
}

pub(super) fn on_request_body(context: u32, size: usize, ends: bool) -> u32 {
    with(context, |stream| stream.on_request_body(&Envoy, size, ends)).map_or(CONTINUE, action)
}

pub(super) fn on_request_trailers(context: u32) -> u32 {
    with(context, |stream| stream.on_request_trailers(&Envoy)).map_or(CONTINUE, action)
}

pub(super) fn on_response_headers(context: u32) -> u32 {
    with(context, |stream| stream.on_response_headers(&Envoy));
    CONTINUE
}

pub(super) fn on_response_trailers(context: u32) -> u32 {
    with(context, |stream| stream.on_response_trailers(&Envoy));
    CONTINUE
}

/// The stream, and makes the calls that follow its own; `None` where it has ended.
pub(super) fn enter(id: StreamId) -> Option<SharedStream> {
    let stream = stream(id.0)?;
    abi::set_effective_context(id.0).then_some(stream)
}

fn with<T>(context: u32, event: impl FnOnce(&mut Stream<Envoy>) -> T) -> Option<T> {
    let stream = stream(context)?;
    let answer = event(&mut stream.borrow_mut());
    Some(answer)
}

fn stream(context: u32) -> Option<SharedStream> {
    CONTEXTS.with_borrow(|contexts| contexts.streams.get(&context).cloned())
}

fn action(flow: Flow) -> u32 {
    match flow {
        Flow::Stop | Flow::Hold | Flow::Wait => PAUSE,
        Flow::Continue => CONTINUE,
    }
}
