//! The promises of the queue, judged by the lives of the streams and by every change of a record.

mod changes;

use self::changes::stored;

use std::collections::BTreeMap;

use super::proxy::MILLI;
use super::{KEYS, numbers, pool_of};
use crate::limit::pool::{State, Ticket, WorkerId};
use crate::queue::member_list::{self, MemberList};
use crate::queue::page::PoolPage;
use crate::queue::stream::Reason;
use crate::store::key::Key;

#[derive(Default)]
pub(super) struct Oracle {
    pub(super) failure: Option<String>,
    pub(super) keys: Vec<Key>,
    /// Nothing goes wrong in this run: messages arrive, hosts answer, workers live.
    pub(super) is_calm: bool,
    vms: Vec<Vm>,
    pub(super) streams: BTreeMap<u32, Stream>,
    members: MemberList,
    records: [State; KEYS],
    /// Since when a slot has been free while a request waited.
    idle_since: [Option<u64>; KEYS],
    /// The numbers of streams admitted at once, resumed, refused because the queue was full, and
    /// refused after the timeout; how often a living worker was evicted.
    pub(super) seen: [u64; 5],
}

#[derive(Default)]
struct Vm {
    worker: Option<WorkerId>,
    is_alive: bool,
    stood_still: bool,
    /// Until it has written its state anew.
    was_evicted: bool,
    /// It was a member when its callback began, and still is.
    is_back: bool,
    /// It was suspended in the middle of its present callback.
    was_cut: bool,
    /// The stream that asks for its slots in this callback.
    arriving: Option<u32>,
}

pub(super) struct Stream {
    vm: usize,
    pub(super) keys: Vec<usize>,
    at: u64,
    pub(super) state: StreamState,
    /// Its ticket; once that has gone from the record, when, and whether one before it stayed.
    ticket: Option<Ticket>,
    taken: Option<(u64, bool)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum StreamState {
    Asking,
    Waiting,
    InFlight,
    Refused,
    Over,
}

impl Oracle {
    fn fail(&mut self, clock: u64, message: String) {
        self.failure
            .get_or_insert(format!("at {} ms: {message}", clock / MILLI));
    }

    pub(super) fn vm_starts(&mut self) -> usize {
        self.vms.push(Vm {
            is_alive: true,
            ..Vm::default()
        });
        self.vms.len() - 1
    }

    pub(super) fn vm_dies(&mut self, vm: usize) {
        self.vms[vm].is_alive = false;
        self.streams.retain(|_, stream| stream.vm != vm);
    }

    pub(super) fn stood_still(&mut self, vm: usize) {
        (self.vms[vm].stood_still, self.vms[vm].was_cut) = (true, true);
    }

    /// A callback of `vm` begins.
    pub(super) fn begins(&mut self, vm: usize) {
        let vm = &mut self.vms[vm];
        vm.is_back = vm
            .worker
            .is_some_and(|worker| self.members.find(worker).is_some());
        vm.was_cut = false;
    }

    /// A tick of `vm` has ended: if it was a member when that began, it has written all of its
    /// state.
    pub(super) fn has_ticked(&mut self, vm: usize) {
        let vm = &mut self.vms[vm];
        vm.was_evicted &= !vm.is_back;
    }

    pub(super) fn arrives(&mut self, stream: u32, vm: usize, keys: Vec<usize>, clock: u64) {
        self.vms[vm].arriving = Some(stream);
        self.streams.insert(
            stream,
            Stream {
                vm,
                keys,
                at: clock,
                state: StreamState::Asking,
                ticket: None,
                taken: None,
            },
        );
    }

    /// The stream has its answer.
    pub(super) fn answered(
        &mut self,
        vm: usize,
        stream: u32,
        from: StreamState,
        answer: Result<(), Reason>,
        clock: u64,
    ) {
        self.vms[vm].arriving = None;
        let (stood_still, was_evicted) = (self.vms[vm].stood_still, self.vms[vm].was_evicted);
        let Some(one) = self
            .streams
            .get_mut(&stream)
            .filter(|one| one.state == from)
        else {
            return self.fail(
                clock,
                format!("{answer:?} for stream {stream}, which is not {from:?}"),
            );
        };
        let waited = clock - one.at;
        let most = one.keys.len() as u64 * numbers(0, 0).timeout().nanos() + 500 * MILLI;
        let overtook =
            one.taken.is_some_and(|(_, overtook)| overtook) && answer.is_ok() && !was_evicted;
        let early = answer == Err(Reason::QueueTimeout) && waited < numbers(0, 0).timeout().nanos();
        one.state = if answer.is_ok() {
            StreamState::InFlight
        } else {
            StreamState::Refused
        };
        self.seen[match (answer, from) {
            (Ok(()), StreamState::Waiting) => 1,
            (Ok(()), _) => 0,
            (Err(Reason::QueueFull | Reason::Unavailable(_)), _) => 2,
            (Err(Reason::QueueTimeout), _) => 3,
        }] += 1;
        if (waited > most && !stood_still) || overtook || early {
            self.fail(
                clock,
                format!(
                    "stream {stream}: {answer:?} after {} ms, overtook: {overtook}",
                    waited / MILLI
                ),
            );
        }
    }

    pub(super) fn waits(&mut self, vm: usize, stream: u32) {
        self.vms[vm].arriving = None;
        self.streams
            .entry(stream)
            .and_modify(|stream| stream.state = StreamState::Waiting);
    }

    /// A stream of `vm` that may end now, by a number of the seed's.
    pub(super) fn open(&self, vm: usize) -> Vec<u32> {
        let open = |stream: &Stream| stream.vm == vm && stream.state != StreamState::Over;
        self.streams
            .iter()
            .filter(|(_, stream)| open(stream))
            .map(|(number, _)| *number)
            .collect()
    }

    pub(super) fn leaves(&mut self, stream: u32) {
        self.streams.remove(&stream);
    }

    /// Looks at how long it has been so. `policies` are those that the event loops have.
    pub(super) fn look(&mut self, clock: u64, policies: &[u32]) {
        let bound = if self.is_calm {
            1_500 * MILLI
        } else {
            9_500 * MILLI
        };
        for key in 0..KEYS {
            let slots = policies
                .iter()
                .map(|policy| numbers(*policy, pool_of(key)).slots())
                .min()
                .unwrap_or(0);
            let record = &self.records[key];
            let is_idle = record.in_flight() < u64::from(slots) && !record.waiting.is_empty();
            let since = *self.idle_since[key].get_or_insert(clock);
            if !is_idle {
                self.idle_since[key] = None;
            } else if clock - since > bound {
                self.fail(
                    clock,
                    format!(
                        "key {key}: a slot is free since {} ms: {record:?}",
                        since / MILLI
                    ),
                );
            }
        }
        let mut streams = self.streams.values();
        if let Some(stream) = streams.find(|stream| self.hears_late(stream, clock, bound)) {
            let ticket = stream.ticket;
            self.fail(
                clock,
                format!("{ticket:?} has its slot, and was not notified"),
            );
        }
    }

    /// Whether a stream still waits, although it has had its slot for longer than `bound`.
    fn hears_late(&self, stream: &Stream, clock: u64, bound: u64) -> bool {
        let vm = &self.vms[stream.vm];
        let taken = stream.taken.is_some_and(|(since, _)| clock - since > bound);
        stream.state == StreamState::Waiting
            && taken
            && vm.is_alive
            && !vm.stood_still
            && stream.keys.len() == 1
    }

    pub(super) fn on_swap(
        &mut self,
        vm: usize,
        policy: u32,
        key: &[u8],
        before: &[u8],
        after: &[u8],
        clock: u64,
    ) {
        if key == member_list::KEY {
            return self.on_members(
                vm,
                &MemberList::read(before).unwrap(),
                &MemberList::read(after).unwrap(),
                clock,
            );
        }
        let Some(number) = key.strip_prefix(b"sgp\x01") else {
            return;
        };
        let page = u32::from_le_bytes(number.try_into().unwrap());
        let (before, after) = (
            PoolPage::read(before.to_vec()),
            PoolPage::read(after.to_vec()),
        );
        for key in 0..KEYS {
            let Some(Key { fingerprint, .. }) =
                self.keys.get(key).copied().filter(|key| key.page == page)
            else {
                continue;
            };
            let (old, new) = (stored(&before, fingerprint), stored(&after, fingerprint));
            if old != new {
                self.on_change(vm, policy, key, &old, &new, clock);
                self.records[key] = new;
            }
        }
    }

    /// Verifies that nothing is left once all streams have ended.
    pub(super) fn finish(&mut self, clock: u64) {
        let waiting = self
            .streams
            .values()
            .filter(|stream| stream.state == StreamState::Waiting)
            .count();
        if waiting > 0 || !self.records.iter().all(State::is_idle) {
            self.fail(
                clock,
                format!(
                    "{waiting} streams wait, and of all records there is left {:?}",
                    self.records
                ),
            );
        }
    }
}
