//! Events for bodies that go on between the callbacks of their streams: a root's ticks.
//!
//! A root ticks as often as the waiting bodies of this VM and its own pools need. The first stream
//! under it that needs an event starts the ticks, and they go on for as long as any stream does.

use std::cell::RefCell;
use std::collections::BTreeMap;

use log::error;

use super::host::Envoy;
use super::{abi, contexts};
use crate::base::time::Span;
use crate::filter::bodies::{Bodies, Step};
use crate::host::stream::Uptime as _;
use crate::payload::slice::Slice;
use crate::queue::membership::RootId;
use crate::queue::stream::StreamId;

thread_local! {
    static BODIES: RefCell<Bodies> = RefCell::default();
    static TICKS: RefCell<BTreeMap<RootId, Ticks>> = RefCell::default();
    /// Whether the log says that heads cannot be held.
    static LOGGED: RefCell<bool> = const { RefCell::new(false) };
}

/// How often a root ticks.
#[derive(Clone, Copy, Default)]
struct Ticks {
    /// Without regard to bodies.
    usual: Option<Span>,
    /// Whether it gives bodies the events that they need.
    for_bodies: bool,
    now: Option<Span>,
}

/// The work that the callback of a stream may spend on its body.
pub(super) fn slice() -> Slice {
    BODIES.with_borrow(Bodies::slice)
}

/// A stream under this root has more of its body than was read.
pub(super) fn suspend(stream: StreamId, root: RootId) {
    BODIES.with_borrow_mut(|bodies| bodies.suspend(stream));
    tick(root, true);
}

/// A head under this root is held, and nothing of its body has arrived.
pub(super) fn watch(stream: StreamId, root: RootId) {
    BODIES.with_borrow_mut(|bodies| bodies.watch(stream, Envoy.uptime()));
    tick(root, true);
}

/// A stream has ended.
pub(super) fn end(stream: StreamId) {
    BODIES.with_borrow_mut(|bodies| bodies.end(stream));
}

/// Carries out a tick of a root, which may give at most `answers_max` answers.
pub(super) fn on_tick(root: RootId, answers_max: usize) {
    BODIES.with(|bodies| {
        let given = Bodies::work(bodies, answers_max, |id, slice| {
            let Some(stream) = contexts::enter(id) else {
                return Step::Done;
            };
            let step = stream.borrow_mut().on_work(&Envoy, slice);
            if step == Step::Resume {
                abi::resume_request();
            }
            step
        });
        Bodies::check_held(
            bodies,
            Envoy.uptime(),
            answers_max.saturating_sub(given),
            |id| {
                let Some(stream) = contexts::enter(id) else {
                    return Step::Done;
                };
                let step = stream.borrow_mut().on_held(&Envoy);
                if step == Step::Replied && !LOGGED.replace(true) {
                    error!(
                        "a request waits for its body by `hold`, and Envoy keeps the body from the \
                        filter: set allow_on_headers_stop_iteration: true in its PluginConfig"
                    );
                }
                step
            },
        );
    });
    abi::set_effective_context(root.0);
    tick(root, false);
}

/// A root is gone, and its ticks with it: waiting bodies continue with those of another.
pub(super) fn on_root_gone(root: RootId) {
    TICKS.with_borrow_mut(|ticks| ticks.remove(&root));
    if BODIES.with_borrow(Bodies::period).is_some()
        && let Some(other) = contexts::any_root()
        && abi::set_effective_context(other.0)
    {
        tick(other, true);
    }
}

/// A root ticks this often, or more often.
pub(super) fn tick_at_least(root: RootId, period: Span) {
    TICKS.with_borrow_mut(|ticks| ticks.entry(root).or_default().usual = Some(period));
    tick(root, false);
}

/// Sets how often a root ticks, in a callback of the root or of a stream under it.
fn tick(root: RootId, for_bodies: bool) {
    let needed = BODIES.with_borrow(Bodies::period);
    TICKS.with_borrow_mut(|ticks| {
        let ticks = ticks.entry(root).or_default();
        ticks.for_bodies = (ticks.for_bodies || for_bodies) && needed.is_some();
        let needed = needed.filter(|_| ticks.for_bodies);
        let period = [needed, ticks.usual].into_iter().flatten().min();
        if period != ticks.now {
            ticks.now = period;
            let millis = period.map_or(0, |period| period.nanos() / 1_000_000);
            abi::set_tick_period(u32::try_from(millis).unwrap_or(u32::MAX));
        }
    });
}
