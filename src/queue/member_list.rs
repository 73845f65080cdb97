//! The member list: the workers of one proxy, as one value of shared data.
//!
//! ```text
//!   next worker 4 ┊ (worker 4, index 2, heartbeat 4, queue 4) …       little-endian
//! ```
//!
//! A worker gets a new number each time that it joins. Its *index* is the lowest free one: queues
//! are named by indices, because the host keeps a queue for ever. A worker counts up its heartbeat
//! about once a second. A member whose heartbeat does not change during [`HEARTBEATS_MISSED_MAX`]
//! heartbeats of another worker is dead. Heartbeats are counted and no clock is compared, so no
//! member is evicted because the proxy was paused.

use std::collections::BTreeMap;

use crate::host::fault::Fault;
use crate::host::queue::QueueToken;
use crate::limit::pool::WorkerId;

/// Most workers of one proxy.
pub const MEMBERS_MAX: u16 = 1_024;

/// The number of its own heartbeats after which a worker evicts a member that had none meanwhile.
pub const HEARTBEATS_MISSED_MAX: u32 = 5;

/// The key in shared data.
pub const KEY: [u8; 4] = [b's', b'g', b'r', 1];

const MEMBER_BYTES: usize = 14;
const NO_QUEUE: u32 = u32::MAX;

/// One member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Member {
    /// Its number, which no worker had before.
    pub worker: WorkerId,
    /// Its index, which names its queue.
    pub index: u16,
    /// The count of its heartbeats.
    pub heartbeat: u32,
    /// Its queue, once it listens.
    pub queue: Option<QueueToken>,
}

impl Member {
    fn decode(
        [w0, w1, w2, w3, p0, p1, b0, b1, b2, b3, q0, q1, q2, q3]: &[u8; MEMBER_BYTES],
    ) -> Self {
        let queue = u32::from_le_bytes([*q0, *q1, *q2, *q3]);
        Self {
            worker: WorkerId(u32::from_le_bytes([*w0, *w1, *w2, *w3])),
            index: u16::from_le_bytes([*p0, *p1]),
            heartbeat: u32::from_le_bytes([*b0, *b1, *b2, *b3]),
            queue: (queue != NO_QUEUE).then_some(QueueToken(queue)),
        }
    }
}

/// All members.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MemberList {
    next: u32,
    members: Vec<Member>,
}

/// One worker's observations of the heartbeats of all members.
#[derive(Clone, Debug, Default)]
pub struct FailureDetector {
    /// The heartbeat of each member, and for how many observations it has not changed.
    seen: BTreeMap<WorkerId, (u32, u32)>,
}

impl MemberList {
    /// Reads the stored list.
    ///
    /// # Errors
    /// [`Fault::BadRecord`] if it cannot be ours.
    pub fn read(bytes: &[u8]) -> Result<Self, Fault> {
        if bytes.is_empty() {
            return Ok(Self::default());
        }
        let (next, rest) = bytes.split_first_chunk().ok_or(Fault::BadRecord)?;
        let (members, rest) = rest.as_chunks::<MEMBER_BYTES>();
        if !rest.is_empty() {
            return Err(Fault::BadRecord);
        }
        Ok(Self {
            next: u32::from_le_bytes(*next),
            members: members.iter().map(Member::decode).collect(),
        })
    }

    /// The list as it is stored.
    #[must_use]
    pub fn bytes(&self) -> Vec<u8> {
        let mut bytes = self.next.to_le_bytes().to_vec();
        for member in &self.members {
            bytes.extend_from_slice(&member.worker.0.to_le_bytes());
            bytes.extend_from_slice(&member.index.to_le_bytes());
            bytes.extend_from_slice(&member.heartbeat.to_le_bytes());
            bytes.extend_from_slice(&member.queue.map_or(NO_QUEUE, |queue| queue.0).to_le_bytes());
        }
        bytes
    }

    /// The member that is `worker`; `None` once it is gone.
    #[must_use]
    pub fn find(&self, worker: WorkerId) -> Option<&Member> {
        self.members.iter().find(|member| member.worker == worker)
    }

    /// As [`Self::find`], to change the member.
    pub fn find_mut(&mut self, worker: WorkerId) -> Option<&mut Member> {
        self.members
            .iter_mut()
            .find(|member| member.worker == worker)
    }

    /// Adds a member, with the index `preferred` if that is free.
    ///
    /// # Errors
    /// [`Fault::Full`] if there are [`MEMBERS_MAX`] members.
    pub fn join(&mut self, preferred: Option<u16>) -> Result<Member, Fault> {
        let is_free = |index: &u16| self.members.iter().all(|member| member.index != *index);
        let index = preferred
            .filter(is_free)
            .or_else(|| (0..MEMBERS_MAX).find(is_free))
            .ok_or(Fault::Full)?;
        let member = Member {
            worker: WorkerId(self.next),
            index,
            heartbeat: 0,
            queue: None,
        };
        self.next = self.next.wrapping_add(1);
        self.members.push(member);
        Ok(member)
    }

    /// Removes the members that `gone` names.
    pub fn remove(&mut self, gone: impl Fn(WorkerId) -> bool) {
        self.members.retain(|member| !gone(member.worker));
    }
}

impl FailureDetector {
    /// The detector after one more heartbeat of this worker, which has read `members` before it.
    #[must_use]
    pub fn observe(&self, members: &MemberList) -> Self {
        Self {
            seen: members
                .members
                .iter()
                .map(|member| (member.worker, self.heard(member)))
                .collect(),
        }
    }

    /// The heartbeat of `member`, and for how many observations it has not changed.
    fn heard(&self, member: &Member) -> (u32, u32) {
        let missed = match self.seen.get(&member.worker) {
            Some((heartbeat, missed)) if *heartbeat == member.heartbeat => missed.saturating_add(1),
            Some(_) | None => 0,
        };
        (member.heartbeat, missed)
    }

    /// Whether `worker` has missed too many heartbeats.
    #[must_use]
    pub fn is_dead(&self, worker: WorkerId) -> bool {
        self.seen
            .get(&worker)
            .is_some_and(|(_, missed)| *missed >= HEARTBEATS_MISSED_MAX)
    }

    /// Whether a member that was observed is no longer in `members`.
    #[must_use]
    pub fn has_lost_members(&self, members: &MemberList) -> bool {
        self.seen
            .keys()
            .any(|worker| members.find(*worker).is_none())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_index_is_reused_and_a_number_never() {
        let mut members = MemberList::default();
        let first = members.join(None).unwrap();
        let second = members.join(None).unwrap();
        members.find_mut(second.worker).unwrap().queue = Some(QueueToken(7));
        members = MemberList::read(&members.bytes()).unwrap();
        assert_eq!(
            members.find(second.worker).unwrap().queue,
            Some(QueueToken(7))
        );
        members.remove(|worker| worker == first.worker);
        let third = members.join(Some(second.index)).unwrap();
        assert_eq!((third.index, first.index), (0, 0));
        assert!(![first.worker, second.worker].contains(&third.worker));
        let places = (2..MEMBERS_MAX).map(|_| members.join(None).unwrap().index);
        assert!(places.eq(2..MEMBERS_MAX));
        assert_eq!(members.join(None), Err(Fault::Full));
    }

    #[test]
    fn a_member_without_a_heartbeat_for_five_of_another_is_dead() {
        let mut members = MemberList::default();
        let (dead, slow) = (
            members.join(None).unwrap().worker,
            members.join(None).unwrap().worker,
        );
        let mut detector = FailureDetector::default();
        for count in 0..=12 {
            assert!(!detector.is_dead(dead), "at {count}");
            if count % 3 == 0 {
                members.find_mut(slow).unwrap().heartbeat = count;
            }
            if [4, 8].contains(&count) {
                members.find_mut(dead).unwrap().heartbeat = count;
            }
            detector = detector.observe(&members);
        }
        detector = detector.observe(&members);
        assert!(
            detector.is_dead(dead)
                && !detector.is_dead(slow)
                && !detector.has_lost_members(&members)
        );
        members.remove(|worker| detector.is_dead(worker));
        assert!(
            detector.has_lost_members(&members)
                && !detector.observe(&members).has_lost_members(&members)
        );
    }

    #[test]
    fn what_is_no_member_list_is_a_fault() {
        for length in [1, 3, 5, 17, 19] {
            assert_eq!(MemberList::read(&vec![1; length]), Err(Fault::BadRecord));
        }
    }
}
