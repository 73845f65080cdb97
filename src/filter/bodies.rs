//! The bodies that need work between the callbacks of their streams: those of which more has
//! arrived than was read, and held heads without any part of their body.
//!
//! There is one [`Bodies`] in each VM, for all policies. It knows only the numbers of streams;
//! callers pass in the step of a stream as a function.

use std::cell::RefCell;
use std::collections::{BTreeSet, VecDeque};

use crate::base::time::Span;
use crate::payload::slice::Slice;
use crate::queue::stream::StreamId;

/// The result of one step of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// The stream needs another step.
    Again,
    /// The stream needs no further step.
    Done,
    /// The stream needs no further step, and the host must resume its request.
    Resume,
    /// The stream needs no further step: its request was answered.
    Replied,
}

/// The streams of one VM whose bodies need steps.
#[derive(Debug, Default)]
pub struct Bodies {
    pending: BTreeSet<StreamId>,
    /// The pending streams in the order of their steps, and some that have ended.
    order: VecDeque<StreamId>,
    /// Streams with held heads, in the order in which they arrived, each with the time of its next
    /// check.
    held: VecDeque<(Span, StreamId)>,
}

/// How long a host may have the body of a held head without giving it to the filter.
const HELD_MAX: Span = Span::from_seconds(3);

/// The period of events while bodies are pending.
const PENDING_PERIOD: Span = Span::from_nanos(1_000_000);

/// The period of events while heads are held without any part of their body.
const HELD_PERIOD: Span = Span::from_seconds(1);

/// The most steps of one callback. Without a bound, streams whose steps cost nothing would never
/// end it.
const STEPS_MAX: usize = 1024;

impl Bodies {
    /// The work that the callback of a stream may spend on its body: none while other bodies are
    /// pending, so that many bodies take no more of the worker than one.
    #[must_use]
    pub fn slice(&self) -> Slice {
        Slice::new(if self.pending.is_empty() {
            Slice::UNITS
        } else {
            0
        })
    }

    /// More of this stream's body has arrived than was read.
    pub fn suspend(&mut self, stream: StreamId) {
        if self.pending.insert(stream) {
            self.order.push_back(stream);
        }
    }

    /// The head of this stream is held, and no part of its body has arrived.
    pub fn watch(&mut self, stream: StreamId, uptime: Span) {
        self.held.push_back((uptime.plus(HELD_MAX), stream));
    }

    /// A stream has ended. A held one is removed at its next check.
    pub fn end(&mut self, stream: StreamId) {
        self.pending.remove(&stream);
    }

    /// The period of the events that the streams need; `None` if they need none.
    #[must_use]
    pub fn period(&self) -> Option<Span> {
        match (self.pending.is_empty(), self.held.is_empty()) {
            (false, _) => Some(PENDING_PERIOD),
            (true, false) => Some(HELD_PERIOD),
            (true, true) => None,
        }
    }

    /// Takes one slice of work for all pending bodies, one after the other, and at most
    /// `answers_max` answers. Returns the number of answers.
    pub fn work(
        all: &RefCell<Self>,
        answers_max: usize,
        mut step: impl FnMut(StreamId, &mut Slice) -> Step,
    ) -> usize {
        let (mut slice, mut answers) = (Slice::new(Slice::UNITS), 0);
        for _ in 0..STEPS_MAX {
            if slice.is_used_up() || answers >= answers_max {
                break;
            }
            // The borrow must end before the step: it calls the host.
            let next = all.borrow_mut().next();
            let Some(stream) = next else { break };
            // Each step has a part of the slice, so that a small body does not wait for all large
            // ones.
            let mut part = slice.split(Slice::UNITS >> 3);
            match step(stream, &mut part) {
                Step::Again => all.borrow_mut().suspend(stream),
                Step::Done => {}
                Step::Resume | Step::Replied => answers = answers.saturating_add(1),
            }
            slice.join(part);
        }
        answers
    }

    /// Checks heads that have been held for some time, and gives at most `answers_max` answers.
    pub fn check_held(
        all: &RefCell<Self>,
        uptime: Span,
        answers_max: usize,
        mut step: impl FnMut(StreamId) -> Step,
    ) {
        let mut answers = 0;
        for _ in 0..STEPS_MAX {
            if answers >= answers_max {
                break;
            }
            let next = all.borrow_mut().next_held(uptime);
            let Some(stream) = next else { break };
            match step(stream) {
                Step::Again => all.borrow_mut().watch(stream, uptime),
                Step::Done => {}
                Step::Resume | Step::Replied => answers = answers.saturating_add(1),
            }
        }
    }

    fn next(&mut self) -> Option<StreamId> {
        loop {
            let stream = self.order.pop_front()?;
            if self.pending.remove(&stream) {
                return Some(stream);
            }
        }
    }

    fn next_held(&mut self, uptime: Span) -> Option<StreamId> {
        let (_, stream) = self.held.pop_front_if(|(due, _)| *due <= uptime)?;
        Some(stream)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::arithmetic_side_effects, reason = "test code")]

    use std::collections::BTreeMap;

    use super::*;

    /// Pseudo-random numbers, the same in each run.
    struct Noise(u64);

    impl Noise {
        fn below(&mut self, bound: u64) -> u64 {
            self.0 = self
                .0
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            (self.0 >> 33) % bound
        }
    }

    /// Takes a slice for a stream with `left` units to read.
    fn spend(left: &mut u64, slice: &mut Slice) -> Step {
        let mut taken = slice.split(*left);
        *left -= taken.spend();
        if *left == 0 {
            Step::Resume
        } else {
            Step::Again
        }
    }

    #[test]
    fn every_body_is_read_to_its_end_in_slices_that_all_share() {
        for seed in 0..300 {
            let mut noise = Noise(seed);
            let all = RefCell::new(Bodies::default());
            let mut left: BTreeMap<StreamId, u64> = BTreeMap::new();
            let (mut work, mut events, mut came) = (0, 0, 0);
            while came < 50 || !left.is_empty() {
                if came < 50 && noise.below(3) == 0 {
                    came += 1;
                    let size = noise.below(5) * noise.below(10_000_000) + 1;
                    work += size;
                    left.insert(StreamId(came), size);
                    all.borrow_mut().suspend(StreamId(came));
                    assert!(
                        all.borrow().slice().is_used_up(),
                        "a body that arrives now waits for a step"
                    );
                }
                if noise.below(20) == 0
                    && let Some((gone, rest)) = left.pop_first()
                {
                    work -= rest;
                    all.borrow_mut().end(gone);
                }
                let mut spent = 0;
                let answers = Bodies::work(&all, 3, |id, slice| {
                    let rest = left
                        .get_mut(&id)
                        .expect("a stream that has ended has no step");
                    let before = *rest;
                    let step = spend(rest, slice);
                    spent += before - *rest;
                    if step == Step::Resume {
                        left.remove(&id);
                    }
                    step
                });
                assert!(spent <= Slice::UNITS && answers <= 3);
                assert_eq!(all.borrow().period().is_some(), !left.is_empty());
                events += 1;
                assert!(events < 100_000, "the work ends");
            }
            assert!(work == 0 || !all.borrow().slice().is_used_up());
        }
    }

    #[test]
    fn a_small_body_does_not_wait_for_all_large_ones() {
        let all = RefCell::new(Bodies::default());
        let mut left: BTreeMap<StreamId, u64> =
            (0..16).map(|id| (StreamId(id), u64::MAX >> 1)).collect();
        left.insert(StreamId(16), 1);
        for id in left.keys() {
            all.borrow_mut().suspend(*id);
        }
        for _ in 0..3 {
            Bodies::work(&all, 64, |id, slice| {
                spend(left.get_mut(&id).unwrap(), slice)
            });
        }
        assert_eq!(left[&StreamId(16)], 0);
    }

    #[test]
    fn streams_whose_steps_cost_nothing_do_not_keep_a_callback() {
        let all = RefCell::new(Bodies::default());
        all.borrow_mut().suspend(StreamId(1));
        let mut steps = 0;
        Bodies::work(&all, 64, |_, _| {
            steps += 1;
            Step::Again
        });
        assert_eq!(
            (steps, all.borrow().period()),
            (STEPS_MAX, Some(PENDING_PERIOD))
        );
    }

    #[test]
    fn a_held_head_is_checked_after_some_seconds_and_again() {
        let all = RefCell::new(Bodies::default());
        let at = Span::from_seconds;
        for id in 1..=5 {
            all.borrow_mut().watch(StreamId(id), at(u64::from(id) / 5));
        }
        let mut seen = Vec::new();
        let mut check = |uptime: Span, most: usize, step: Step| {
            seen.clear();
            Bodies::check_held(&all, uptime, most, |id| {
                seen.push(id.0);
                step
            });
            seen.clone()
        };
        assert!(check(at(2), 64, Step::Done).is_empty());
        assert_eq!(
            check(at(3), 2, Step::Replied),
            [1, 2],
            "no more than may be answered"
        );
        assert_eq!(check(at(3), 64, Step::Again), [3, 4]);
        assert_eq!(check(at(5), 64, Step::Done), [5]);
        assert_eq!(all.borrow().period(), Some(HELD_PERIOD));
        assert_eq!(check(at(6), 64, Step::Done), [3, 4]);
        assert_eq!(all.borrow().period(), None);
    }
}
