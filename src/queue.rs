//! Pools of slots over all workers of the proxy, with a queue before each that is first come, first
//! served, and a deadline for who waits.
//!
//! ```text
//!   worker 7 ─ sync ─┐   page: key ─▶ leases 7: 3, 9: 1 │ waiting 9·14, 7·21     ┌─ sync ─ worker 9
//!                    └──────────▶ read, merge, swap ◀────────────────────────────┘
//!   a slot comes back: the head's ticket becomes its worker's lease in the same swap,
//!   and a message tells that worker to look: 7 ──"look at this key"──▶ 9 ─▶ resumes the stream
//! ```
//!
//! Promises, each held by the `simulation`, at a tick every [`worker::TICK`]:
//! * at most `slots` leases of a key, over all workers, by the numbers of the worker that gives them
//!   (of a worker that was buried though it lives: what it had in flight comes back on top, and
//!   nobody is let in meanwhile);
//! * who comes first is let in first; nobody waits while a slot is free, for longer than the message
//!   takes, or a second where that is lost;
//! * each stream that waits is answered once, a tick after its deadline at the latest;
//! * what a VM that died held is in use again after nine seconds, as long as another worker lives:
//!   [`member_list::HEARTBEATS_MISSED_MAX`] beats and the one before them, each a tick late at most, one second to
//!   sweep all pages and one for the rounds of those who wait.
//!
//! Messages carry no authority: the record does, so one that is lost, late or doubled does no harm
//! (decision 0017).

mod lease_table;
pub mod live;
mod local_state;
pub mod member_list;
pub mod membership;
pub mod page;
mod reaper;
mod round_robin;
#[cfg(test)]
mod simulation;
pub mod stream;
#[cfg(test)]
mod tests;
mod waiting;
pub mod worker;
