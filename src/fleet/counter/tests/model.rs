//! All that can happen to one counter within a few ticks: two proxies, a few takes of each, a
//! network that loses, delays and repeats, a crash, a step back of the clock. Nothing is drawn:
//! every order of events is tried.

use std::collections::BTreeSet;

use stateright::{Checker, Model, Property};

use super::oracle::fits;
use crate::base::time::{Span, Timestamp};
use crate::fleet::counter::Counter;
use crate::fleet::take::{Answer, CounterName, Numbers, ProxyId, Rest, Take};

const BEGIN: u64 = 1_700_000_000_000_000;

/// A lease without spare units, 150 ms, ends between two ticks.
const TICK: u64 = 100_000;

/// The explored model.
#[derive(Clone)]
struct Setup {
    numbers: Numbers,
    /// How many ticks pass.
    ticks: u64,
    /// How many takes each proxy sends.
    takes: [u64; 2],
    /// The units that each take wants, beyond the one that it needs.
    spare: u64,
    /// Whether the clock may step back once, by this many ticks.
    step: u64,
    /// Whether a proxy may crash.
    crash: bool,
}

/// A proxy of the model; instants are ticks.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
struct Proxy {
    id: u64,
    seq: u64,
    left: u64,
    spent: u64,
    /// In microseconds after the beginning.
    end: u64,
    /// The take that is not answered, and when it was sent first.
    flight: Option<(Sent, u64)>,
}

/// The identity of a take.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Sent {
    proxy: u64,
    seq: u64,
    spent: u64,
    keep: bool,
}

/// The content of an answer for its proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Heard {
    proxy: u64,
    seq: u64,
    granted: u64,
    valid: u64,
    lapsed: bool,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
struct State {
    tick: u64,
    behind: u64,
    crashed: bool,
    counter: Counter,
    proxies: [Proxy; 2],
    /// Every message that was ever sent: it may arrive at any time, many times, or never.
    takes: BTreeSet<Sent>,
    answers: BTreeSet<Heard>,
    spent: Vec<u64>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Action {
    Tick,
    Step,
    Send(usize, bool),
    Arrive(Sent),
    Hear(Heard),
    Spend(usize),
    Crash(usize),
}

impl State {
    fn now(&self) -> u64 {
        BEGIN + self.tick * TICK
    }
}

impl State {
    /// Forgets parts that make no difference: units whose lease has ended, and answers that no
    /// proxy waits for. So there are fewer distinct states.
    fn forget(&mut self) {
        let passed = self.now() - BEGIN;
        for proxy in &mut self.proxies {
            if proxy.end <= passed {
                (proxy.left, proxy.end) = (0, 0);
            }
        }
        let open = |proxy: &Proxy| {
            proxy
                .flight
                .as_ref()
                .map(|(sent, _)| (sent.proxy, sent.seq))
        };
        let open = [open(&self.proxies[0]), open(&self.proxies[1])];
        self.answers
            .retain(|heard| open.contains(&Some((heard.proxy, heard.seq))));
    }
}

impl Setup {
    fn take(&self, sent: Sent) -> Take {
        Take {
            counter: CounterName([0; 16]),
            numbers: self.numbers,
            proxy: ProxyId(sent.proxy),
            seq: sent.seq,
            spent: sent.spent,
            extra: 0,
            refund: 0,
            since: 0,
            rest: if sent.keep { Rest::Keep } else { Rest::Return },
            need: 1,
            want: 1 + self.spare,
            lock: Span::ZERO,
        }
    }
}

impl Model for Setup {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        let mut state = State::default();
        state.proxies[0].id = 1;
        state.proxies[1].id = 2;
        vec![state]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        if state.tick < self.ticks {
            actions.push(Action::Tick);
        }
        if self.step > 0 && state.behind == 0 && state.tick > 0 {
            actions.push(Action::Step);
        }
        for (place, proxy) in state.proxies.iter().enumerate() {
            if proxy.flight.is_none() && proxy.seq < self.takes[place] {
                actions.push(Action::Send(place, true));
                // The first take has nothing to return.
                if proxy.seq > 0 {
                    actions.push(Action::Send(place, false));
                }
            }
            if proxy.left > 0 && state.now() - BEGIN < proxy.end {
                actions.push(Action::Spend(place));
            }
            if self.crash && !state.crashed && proxy.seq > 0 {
                actions.push(Action::Crash(place));
            }
        }
        actions.extend(state.takes.iter().copied().map(Action::Arrive));
        actions.extend(state.answers.iter().copied().map(Action::Hear));
    }

    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        let mut state = last.clone();
        let now = state.now();
        match action {
            Action::Tick => state.tick += 1,
            Action::Step => state.behind = self.step * TICK,
            Action::Send(place, keep) => {
                let proxy = &mut state.proxies[place];
                proxy.seq += 1;
                let sent = Sent {
                    proxy: proxy.id,
                    seq: proxy.seq,
                    spent: std::mem::take(&mut proxy.spent),
                    keep,
                };
                if !keep {
                    proxy.left = 0;
                }
                proxy.flight = Some((sent, now - BEGIN));
                state.takes.insert(sent);
            }
            Action::Arrive(sent) => {
                let clock = now - state.behind;
                let Answer {
                    granted,
                    valid,
                    lapsed,
                    ..
                } = state.counter.take(clock, &self.take(sent));
                state.answers.insert(Heard {
                    proxy: sent.proxy,
                    seq: sent.seq,
                    granted,
                    valid: valid.nanos() / 1_000,
                    lapsed,
                });
            }
            Action::Hear(heard) => {
                let proxy = state.proxies.iter_mut().find(|own| own.id == heard.proxy)?;
                let (_, sent) = proxy.flight.take()?;
                if heard.lapsed {
                    (proxy.left, proxy.spent, proxy.end) = (0, 0, 0);
                }
                proxy.end = proxy.end.max(sent + heard.valid);
                proxy.left += heard.granted;
            }
            Action::Spend(place) => {
                state.proxies[place].left -= 1;
                state.proxies[place].spent += 1;
                state.spent.push(now);
            }
            Action::Crash(place) => {
                state.crashed = true;
                state.proxies[place] = Proxy {
                    id: 3,
                    ..Proxy::default()
                };
            }
        }
        state.forget();
        (state != *last).then_some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always(
                "never more than the limit states",
                |setup: &Self, state: &State| fits(&setup.numbers, &state.spent),
            ),
            Property::sometimes(
                "all of the quota is spent",
                |setup: &Self, state: &State| {
                    let (Numbers::Bucket { burst: all, .. }
                    | Numbers::Rolling { quota: all, .. }
                    | Numbers::Calendar { quota: all, .. }) = setup.numbers;
                    state.spent.len() as u64 >= all
                },
            ),
        ]
    }
}

fn explore(setup: Setup) {
    let states = setup.checker().threads(2).spawn_bfs().join();
    println!(
        "{} states, {} deep",
        states.unique_state_count(),
        states.max_depth()
    );
    states.assert_properties();
}

#[test]
fn no_order_of_events_spends_more_than_the_limit_states() {
    let window = Span::from_micros(2 * TICK);
    for numbers in [
        Numbers::Rolling { quota: 2, window },
        Numbers::Bucket {
            burst: 2,
            fill: window,
        },
        Numbers::Calendar {
            quota: 2,
            start: Timestamp::from_micros(BEGIN),
            end: Timestamp::from_micros(BEGIN + 2 * TICK),
        },
    ] {
        let setup = Setup {
            numbers,
            ticks: 3,
            takes: [2, 1],
            spare: 1,
            step: 0,
            crash: false,
        };
        explore(Setup {
            takes: [2, 2],
            ..setup.clone()
        });
        explore(Setup {
            ticks: 4,
            ..setup.clone()
        });
        explore(Setup {
            step: 1,
            ..setup.clone()
        });
        let crash = Setup {
            crash: true,
            ..setup
        };
        explore(Setup {
            takes: [1, 1],
            ..crash.clone()
        });
        // Three million states more.
        if std::env::var_os("GAMES").is_some() {
            explore(crash);
        }
    }
}
