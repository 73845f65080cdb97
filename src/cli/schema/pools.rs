//! Limits at one time: the requests in flight, and the holders of seats.

use schemars::JsonSchema;

use super::limits::{Absent, Failure};
use super::select::Selector;
use super::words::{Idle, Name, Wait};
use crate::limit::pool::{QUEUE_LENGTH_MAX, SLOTS_MAX};
use crate::limit::seats::SEATS_MAX;
use crate::policy::scope::PER_MAX;
use crate::policy::seats::{STATUS_DEFAULT, STATUS_MAX, STATUS_MIN};

/// The most requests in flight at a time, over all workers.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(super) struct Pool {
    /// The unique name of the limit, in metrics, in the access log and in replies.
    name: Name,
    /// The requests that need a slot. If omitted, all of them.
    r#for: Option<Selector>,
    /// One pool for each combination of these attributes; `[]` is one pool for all. A name that
    /// every route of `for.routes` captures is allowed, too.
    #[schemars(length(max = PER_MAX), extend("uniqueItems" = true))]
    per: Vec<Name>,
    /// What it does with a caller that lacks an attribute of `per`.
    #[schemars(extend("default" = "count"))]
    absent: Option<Absent>,
    /// The most requests in flight. A request keeps its slot until its stream ends, for whatever
    /// reason.
    #[schemars(range(min = 1, max = SLOTS_MAX))]
    slots: u32,
    /// Requests that wait while no slot is free: first come, first served. If omitted, none wait,
    /// and such a request is refused.
    queue: Option<Queue>,
    /// What it does if its record cannot be read.
    #[schemars(extend("default" = "allow"))]
    failure: Option<Failure>,
}

/// The queue for a slot. A request whose body is held enters it when the body has passed.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct Queue {
    /// The most requests that wait in one pool; with 0, none do.
    #[schemars(range(max = QUEUE_LENGTH_MAX))]
    length: u32,
    /// The longest wait, after which a request is refused.
    timeout: Wait,
}

/// The most distinct holders at a time. A caller without the attribute `holder` needs no seat.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(super) struct Seats {
    /// The unique name of the limit, in metrics, in the access log and in replies.
    name: Name,
    /// The requests that use a seat. If omitted, all of them.
    r#for: Option<Selector>,
    /// One set of seats for each combination of these attributes; `[]` is one set for all. A name
    /// that every route of `for.routes` captures is allowed, too.
    #[schemars(length(max = PER_MAX), extend("uniqueItems" = true))]
    per: Vec<Name>,
    /// The attribute whose value is the holder of a seat. It cannot be in `per`.
    holder: Name,
    /// The number of seats in each set.
    #[schemars(range(min = 1, max = SEATS_MAX))]
    seats: u32,
    /// How long a seat is kept after its holder's last request.
    idle: Idle,
    /// The status of the response if no seat is free.
    #[schemars(range(min = STATUS_MIN, max = STATUS_MAX), extend("default" = STATUS_DEFAULT))]
    status: Option<u32>,
    /// What it does if its record cannot be read.
    #[schemars(extend("default" = "allow"))]
    failure: Option<Failure>,
}
