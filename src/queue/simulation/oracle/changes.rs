//! Every change of a record and of the list of members.

use super::*;

impl Oracle {
    pub(super) fn on_change(
        &mut self,
        vm: usize,
        policy: u32,
        key: usize,
        old: &State,
        new: &State,
        clock: u64,
    ) {
        let slots = u64::from(numbers(policy, pool_of(key)).slots());
        let has_come_back = self.vms[vm].was_evicted;
        if new.in_flight() > old.in_flight().max(slots) && !has_come_back {
            self.fail(
                clock,
                format!("key {key}: VM {vm} lets in more than {slots}, from {old:?} to {new:?}"),
            );
        }
        let acts = &self.vms[vm];
        let is_dead = acts
            .worker
            .is_none_or(|worker| self.members.find(worker).is_none());
        if is_dead
            && !acts.was_cut
            && (new.in_flight() > old.in_flight() || new.waiting.len() > old.waiting.len())
        {
            self.fail(
                clock,
                format!("key {key}: VM {vm} has been evicted, and writes {new:?}"),
            );
        }
        let kept: Vec<&Ticket> = old
            .waiting
            .iter()
            .filter(|ticket| new.waiting.contains(ticket))
            .collect();
        if !new.waiting.iter().take(kept.len()).eq(kept.iter().copied()) && !has_come_back {
            self.fail(
                clock,
                format!("key {key}: order lost from {old:?} to {new:?}"),
            );
        }
        self.follow_tickets(vm, key, old, new, clock);
        self.verify_leases(key, new, clock);
    }

    /// Notes which streams lost their ticket, and which one received the new one.
    fn follow_tickets(&mut self, vm: usize, key: usize, old: &State, new: &State, clock: u64) {
        for stream in self
            .streams
            .values_mut()
            .filter(|stream| stream.keys[0] == key)
        {
            let Some(ticket) = stream.ticket.filter(|ticket| !new.waiting.contains(ticket)) else {
                continue;
            };
            if let Some(place) = old.waiting.iter().position(|other| *other == ticket) {
                let overtakes = old.waiting[..place]
                    .iter()
                    .any(|other| new.waiting.contains(other));
                stream.taken = Some((clock, overtakes));
            }
        }
        // The new ticket is that of the stream that is arriving.
        let entered = new
            .waiting
            .last()
            .filter(|ticket| !old.waiting.contains(ticket));
        let arriving = self.vms[vm]
            .arriving
            .and_then(|stream| self.streams.get_mut(&stream));
        if let Some(stream) = arriving.filter(|stream| stream.keys[0] == key) {
            stream.ticket = entered.copied().or(stream.ticket);
        }
    }

    /// Every request in flight has a lease, unless its worker was evicted.
    fn verify_leases(&mut self, key: usize, new: &State, clock: u64) {
        for (number, vm) in self
            .vms
            .iter()
            .enumerate()
            .filter(|(_, vm)| vm.is_alive && !vm.was_evicted)
        {
            let in_flight = self
                .streams
                .values()
                .filter(|stream| {
                    stream.vm == number
                        && stream.state == StreamState::InFlight
                        && stream.keys.contains(&key)
                })
                .count();
            let leases = vm.worker.map_or(0, |worker| new.leases_of(worker));
            if in_flight > leases as usize {
                return self.fail(
                    clock,
                    format!("key {key}: {in_flight} of VM {number} in flight, {leases} leases"),
                );
            }
        }
    }

    pub(super) fn on_members(&mut self, vm: usize, old: &MemberList, new: &MemberList, clock: u64) {
        self.members = new.clone();
        let next = |members: &MemberList| members.clone().join(None).unwrap().worker;
        for worker in 0..next(old).0 {
            let is_evicted =
                old.find(WorkerId(worker)).is_some() && new.find(WorkerId(worker)).is_none();
            let Some(evicted) = self
                .vms
                .iter_mut()
                .find(|vm| vm.worker == Some(WorkerId(worker)))
            else {
                continue;
            };
            if is_evicted && evicted.is_alive {
                (evicted.was_evicted, evicted.is_back) = (true, false);
                self.seen[4] += 1;
                if !evicted.stood_still {
                    self.fail(clock, format!("worker {worker} was evicted alive"));
                }
            }
        }
        if next(old) != next(new) {
            self.vms[vm].worker = Some(next(old));
        }
    }
}

/// The state under `fingerprint`, idle if there is none.
pub(super) fn stored(page: &PoolPage, fingerprint: u64) -> State {
    page.find(fingerprint).unwrap().unwrap_or_default()
}
