//! Pools of slots over all workers of the proxy, each with a first-come-first-served queue and a
//! deadline for waiting requests.
//!
//! ```text
//!   worker 7 ─ sync ─┐   page: key ─▶ leases 7: 3, 9: 1 │ waiting 9·14, 7·21    ┌─ sync ─ worker 9
//!                    └──────────▶ read, reconcile, swap ◀───────────────────────┘
//!   a slot is released: the first ticket becomes its worker's lease in the same swap,
//!   and a message makes that worker look: 7 ──"look at this key"──▶ 9 ─▶ resumes the stream
//! ```
//!
//! Promises, each held by the `simulation`, at a tick every [`worker::TICK`]:
//! * All workers together hold at most `slots` leases of a key, by the limits of the worker that
//!   grants them. (If a living worker was evicted, its requests in flight are extra, and no request
//!   is admitted meanwhile.)
//! * The queue is first come, first served. While a slot is free, no request waits for longer than
//!   the message takes, or for longer than a second if that is lost.
//! * Each waiting stream is answered once, at most a tick after its deadline.
//! * The slots of a VM that died are in use again after nine seconds, as long as another worker
//!   lives: [`member_list::HEARTBEATS_MISSED_MAX`] heartbeats and the one before them, each at most
//!   a tick late, one second to reap all pages, and one for the rounds of the waiting keys.
//!
//! Messages carry no authority, the record does. So a lost, late or repeated message does no harm
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
