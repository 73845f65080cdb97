//! What holds for requests at a time: how many are in flight, and who has a seat.

use schemars::JsonSchema;

use super::limits::{Absent, Failure};
use super::select::Selector;
use super::words::{Idle, Name, Wait};
use crate::limit::pool::{QUEUE_LENGTH_MAX, SLOTS_MAX};
use crate::limit::seats::SEATS_MAX;
use crate::policy::scope::PER_MAX;
use crate::policy::seats::{STATUS_DEFAULT, STATUS_MAX, STATUS_MIN};

/// At most so many requests in flight at a time, over all workers.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(super) struct Pool {
    /// Its name, which no other limit has: in metrics, in the access log and in what callers are told.
    name: Name,
    /// Which requests need a slot. Without it all of them.
    r#for: Option<Selector>,
    /// One pool for each combination of these attributes; `[]` is one for all. A name that every route of `for.routes`
    /// captures may stand here too.
    #[schemars(length(max = PER_MAX), extend("uniqueItems" = true))]
    per: Vec<Name>,
    /// What it does with a caller who lacks an attribute of `per`.
    #[schemars(extend("default" = "count"))]
    absent: Option<Absent>,
    /// Most requests in flight. A slot is taken until the stream has ended, however it does.
    #[schemars(range(min = 1, max = SLOTS_MAX))]
    slots: u32,
    /// Who waits while no slot is free: first come, first served. Without it nobody does, and such a request is refused.
    queue: Option<Queue>,
    /// What holds while its record cannot be had.
    #[schemars(extend("default" = "allow"))]
    failure: Option<Failure>,
}

/// Requests that wait for a slot. One whose body is held asks for it when the body has passed.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct Queue {
    /// Most requests that wait in one pool; at 0 nobody does.
    #[schemars(range(max = QUEUE_LENGTH_MAX))]
    length: u32,
    /// The longest that one waits; then it is refused.
    timeout: Wait,
}

/// At most so many distinct holders at a time. A caller without the attribute `holder` needs no seat.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(super) struct Seats {
    /// Its name, which no other limit has: in metrics, in the access log and in what callers are told.
    name: Name,
    /// Which requests touch a seat. Without it all of them.
    r#for: Option<Selector>,
    /// So many seats for each combination of these attributes; `[]` is so many in all. A name that every route of
    /// `for.routes` captures may stand here too.
    #[schemars(length(max = PER_MAX), extend("uniqueItems" = true))]
    per: Vec<Name>,
    /// The attribute whose value is the holder of a seat. It is no part of `per`.
    holder: Name,
    /// How many hold one at a time.
    #[schemars(range(min = 1, max = SEATS_MAX))]
    seats: u32,
    /// How long a seat is kept after its holder's last request.
    idle: Idle,
    /// The status of the answer to who gets none.
    #[schemars(range(min = STATUS_MIN, max = STATUS_MAX), extend("default" = STATUS_DEFAULT))]
    status: Option<u32>,
    /// What holds while its record cannot be had.
    #[schemars(extend("default" = "allow"))]
    failure: Option<Failure>,
}
