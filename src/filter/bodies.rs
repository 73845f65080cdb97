//! Bodies between the callbacks of their streams: those of which more has come than was read, and
//! held heads of whose bodies nothing has come.
//!
//! One for each VM, whatever policies it serves. It knows numbers of streams only, and each step of a
//! stream is a function that it is given.

use std::cell::RefCell;
use std::collections::{BTreeSet, VecDeque};

use crate::base::time::Span;
use crate::payload::slice::Slice;
use crate::queue::stream::StreamId;

/// What became of a stream in one step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// It needs another one.
    Again,
    /// It needs none.
    Done,
    /// It needs none: the host is to resume its request.
    Resume,
    /// It needs none: it was answered.
    Replied,
}

/// The streams of one VM whose bodies need steps of their own.
#[derive(Debug, Default)]
pub struct Bodies {
    pending: BTreeSet<StreamId>,
    /// The same in the order of their turns, and some that have ended.
    turns: VecDeque<StreamId>,
    /// In the order in which they came, with the time at which each is looked at.
    held: VecDeque<(Span, StreamId)>,
}

/// How long the body of a held head may be with the proxy and not with the filter.
const HELD_MAX: Span = Span::from_seconds(3);

/// The period of events while bodies are pending.
const PENDING_PERIOD: Span = Span::from_nanos(1_000_000);

/// The period of events while heads are held of whose bodies nothing has come.
const HELD_PERIOD: Span = Span::from_seconds(1);

/// Steps of one callback, so that streams whose steps cost nothing do not keep it for ever.
const STEPS_MAX: usize = 1024;

impl Bodies {
    /// What the callback of a stream may spend on its body: nothing while others wait to be read, so
    /// that a crowd of bodies takes no more of the worker than one.
    #[must_use]
    pub fn slice(&self) -> Slice {
        Slice::new(if self.pending.is_empty() { Slice::UNITS } else { 0 })
    }

    /// More of this stream's body has come than was read.
    pub fn suspend(&mut self, stream: StreamId) {
        if self.pending.insert(stream) {
            self.turns.push_back(stream);
        }
    }

    /// This head is held, of whose body nothing has come.
    pub fn watch(&mut self, stream: StreamId, uptime: Span) {
        self.held.push_back((uptime.plus(HELD_MAX), stream));
    }

    /// A stream has ended. One that is held is forgotten when its time comes.
    pub fn end(&mut self, stream: StreamId) {
        self.pending.remove(&stream);
    }

    /// How often there must be an event; `None` where nothing waits for one.
    #[must_use]
    pub fn period(&self) -> Option<Span> {
        match (self.pending.is_empty(), self.held.is_empty()) {
            (false, _) => Some(PENDING_PERIOD),
            (true, false) => Some(HELD_PERIOD),
            (true, true) => None,
        }
    }

    /// Takes one slice of work for all pending bodies, each in its turn, and at most so many answers.
    /// How many it took.
    pub fn work(all: &RefCell<Self>, answers_max: usize, mut step: impl FnMut(StreamId, &mut Slice) -> Step) -> usize {
        let (mut slice, mut answers) = (Slice::new(Slice::UNITS), 0);
        for _ in 0..STEPS_MAX {
            if slice.is_used_up() || answers >= answers_max {
                break;
            }
            let next = all.borrow_mut().next();
            let Some(stream) = next else { break };
            // A turn is a part of the slice, so that a small body does not wait for all large ones.
            let mut turn = slice.split(Slice::UNITS >> 3);
            match step(stream, &mut turn) {
                Step::Again => all.borrow_mut().suspend(stream),
                Step::Done => {}
                Step::Resume | Step::Replied => answers = answers.saturating_add(1),
            }
            slice.join(turn);
        }
        answers
    }

    /// Looks at heads that have been held for some time, and gives at most so many answers.
    pub fn look(all: &RefCell<Self>, uptime: Span, answers_max: usize, mut step: impl FnMut(StreamId) -> Step) {
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
            let stream = self.turns.pop_front()?;
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

    /// Numbers that look random, the same in each run.
    struct Noise(u64);

    impl Noise {
        fn below(&mut self, bound: u64) -> u64 {
            self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (self.0 >> 33) % bound
        }
    }

    /// Takes a slice as a stream does that has so much left to read.
    fn spend(left: &mut u64, slice: &mut Slice) -> Step {
        let mut taken = slice.split(*left);
        *left -= taken.spend();
        if *left == 0 { Step::Resume } else { Step::Again }
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
                    assert!(all.borrow().slice().is_used_up(), "who comes then waits for its turn");
                }
                if noise.below(20) == 0
                    && let Some((gone, rest)) = left.pop_first()
                {
                    work -= rest;
                    all.borrow_mut().end(gone);
                }
                let mut spent = 0;
                let answers = Bodies::work(&all, 3, |id, slice| {
                    let rest = left.get_mut(&id).expect("one that has ended has no turn");
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
                assert!(events < 100_000, "it comes to an end");
            }
            assert!(work == 0 || !all.borrow().slice().is_used_up());
        }
    }

    #[test]
    fn a_small_body_does_not_wait_for_all_large_ones() {
        let all = RefCell::new(Bodies::default());
        let mut left: BTreeMap<StreamId, u64> = (0..16).map(|id| (StreamId(id), u64::MAX >> 1)).collect();
        left.insert(StreamId(16), 1);
        left.keys().for_each(|id| all.borrow_mut().suspend(*id));
        for _ in 0..3 {
            Bodies::work(&all, 64, |id, slice| spend(left.get_mut(&id).unwrap(), slice));
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
        assert_eq!((steps, all.borrow().period()), (STEPS_MAX, Some(PENDING_PERIOD)));
    }

    #[test]
    fn a_held_head_is_looked_at_after_some_seconds_and_again() {
        let all = RefCell::new(Bodies::default());
        let at = Span::from_seconds;
        (1..=5).for_each(|id| all.borrow_mut().watch(StreamId(id), at(u64::from(id) / 5)));
        let mut seen = Vec::new();
        let mut look = |uptime: Span, most: usize, step: Step| {
            seen.clear();
            Bodies::look(&all, uptime, most, |id| {
                seen.push(id.0);
                step
            });
            seen.clone()
        };
        assert!(look(at(2), 64, Step::Done).is_empty());
        assert_eq!(look(at(3), 2, Step::Replied), [1, 2], "no more than may be answered");
        assert_eq!(look(at(3), 64, Step::Again), [3, 4]);
        assert_eq!(look(at(5), 64, Step::Done), [5]);
        assert_eq!(all.borrow().period(), Some(HELD_PERIOD));
        assert_eq!(look(at(6), 64, Step::Done), [3, 4]);
        assert_eq!(all.borrow().period(), None);
    }
}
