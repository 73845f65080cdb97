//! Limits at one time: the requests in flight, and the holders of seats.

use super::formats::{Idle, Label, Name, Reference, Wait};
use super::key::mapping;
use super::kind::{Choice, Count32, List, Map, Set, WordOr};
use super::overrides::Unlimited;
use super::{CallerSelector, Constraint, OwnRefusal, Selector, Words as _};
use crate::limit::pool::{QUEUE_LENGTH_MAX, SLOTS_MAX};
use crate::limit::seats::SEATS_MAX;
use crate::limit::{Enforcement, FailureMode};
use crate::policy::scope::Absent;

mapping! {
    /// The most requests in flight at a time, over all workers.
    Pool "{ name: pool, per: [org], slots: 10 }" {
        /// The unique name in metrics, in the access log, and in `{limit}`.
        NAME "name": Name, required;
        /// The name for people, as of a [limit](#limits).
        LABEL "label": Label, optional "the name";
        /// The requests that need a slot: the [selector](#limits).
        FOR "for": Map<Selector>, optional "every request";
        /// One pool for each combination of these attributes; `[]` is one pool for all requests. A
        /// name that every route of `for.routes` captures is valid too. Also `route`,
        /// `method`, `tier` and `host`: [words of the key](#words-of-per).
        PER "per": Set<Reference, 0, 8>, required;
        /// A caller without an attribute of `per`.
        ABSENT "absent": Choice<Absent>, default Absent::Count;
        /// Requests in flight at a time. A request keeps its slot until its stream ends, for any
        /// reason.
        SLOTS "slots": Count32<1, SLOTS_MAX>, required;
        /// The requests that wait while no slot is free: first come, first served.
        QUEUE "queue": Map<Queue>, optional "no request waits";
        /// Other numbers for some callers. The first that matches holds.
        OVERRIDES "overrides": List<Map<PoolOverride>, 0, 100_000>, optional "none";
        /// The answer when this pool refuses: [replies](#replies).
        REFUSED "refused": Map<OwnRefusal>, optional "that of `replies.refused`";
        /// Whether the pool refuses requests. One in shadow lets no request wait.
        ENFORCEMENT "enforcement": Choice<Enforcement>, default Enforcement::Enforce;
        /// The treatment of a request if the record of the pool cannot be read.
        FAILURE "failure": Choice<FailureMode>, default FailureMode::Allow;
    }
}

mapping! {
    /// The queue for a slot. A request whose body is held enters it when the body has passed.
    Queue "{ length: 10, timeout: 5s }" {
        /// Requests that may wait for a slot. With 0 no request waits.
        LENGTH "length": Count32<0, QUEUE_LENGTH_MAX>, required;
        /// The longest wait, after which a request is refused.
        TIMEOUT "timeout": Wait, required;
    }
}

mapping! {
    /// Other numbers of a pool. The requests of its key stay in one pool: each is admitted while
    /// fewer are in flight than its own caller's slots.
    PoolOverride "{ for: { org: acme }, … }"
    constraints [
        Constraint::ChangesOne(&[Self::SLOTS.name, Self::QUEUE.name]),
        Constraint::Without {
            key: Self::SLOTS.name,
            words: Unlimited::WORDS,
            keys: &[Self::QUEUE.name],
            because: "a number as `slots`",
        },
    ]
    {
        /// Requests in flight at a time, or `unlimited`.
        SLOTS "slots": WordOr<Unlimited, Count32<1, SLOTS_MAX>>, optional "the pool's";
        /// The requests that wait while no slot is free.
        QUEUE "queue": Map<Queue>, optional "the pool's";
        /// The callers, as in the override of a [bucket](#limits).
        FOR "for": Map<CallerSelector>, required;
    }
}

mapping! {
    /// The most distinct holders at a time. A caller without the attribute `holder` needs no seat.
    Seats "{ name: editor, per: [record], holder: user, seats: 1, idle: 60s }" {
        /// The unique name in metrics, in the access log, and in `{limit}`.
        NAME "name": Name, required;
        /// The name for people, as of a [limit](#limits).
        LABEL "label": Label, optional "the name";
        /// The requests that use a seat: the [selector](#limits).
        FOR "for": Map<Selector>, optional "every request";
        /// One set of seats for each combination of these attributes; `[]` is one set for all
        /// requests. A name that every route of `for.routes` captures is valid too. Also `route`,
        /// `method`, `tier` and `host`: [words of the key](#words-of-per).
        PER "per": Set<Reference, 0, 8>, required;
        /// The attribute whose value holds a seat. It cannot be in `per`. The limit does not apply
        /// to a caller without it.
        HOLDER "holder": Reference, required;
        /// Distinct holders at a time.
        SEATS "seats": Count32<1, SEATS_MAX>, required;
        /// How long a seat is kept after its last touch.
        IDLE "idle": Idle, required;
        /// Other numbers for some callers. The first that matches holds.
        OVERRIDES "overrides": List<Map<SeatsOverride>, 0, 100_000>, optional "none";
        /// The status of a refusal. Its `Retry-After` states when the first seat lapses if no
        /// request touches it again.
        STATUS "status": Count32<400, 499>, optional "that of `replies.refused`, or 423";
        /// The answer when this limit refuses: [replies](#replies).
        REFUSED "refused": Map<OwnRefusal>, optional "that of `replies.refused`";
        /// Whether the limit refuses requests.
        ENFORCEMENT "enforcement": Choice<Enforcement>, default Enforcement::Enforce;
        /// The treatment of a request if the record of the seats cannot be read.
        FAILURE "failure": Choice<FailureMode>, default FailureMode::Allow;
    }
}

mapping! {
    /// Other numbers of a seat limit. The holders of its key stay together: a request gets a seat
    /// while fewer holders have one than its own caller's seats.
    SeatsOverride "{ for: { org: acme }, … }"
    constraints [
        Constraint::ChangesOne(&[Self::SEATS.name, Self::IDLE.name]),
        Constraint::Without {
            key: Self::SEATS.name,
            words: Unlimited::WORDS,
            keys: &[Self::IDLE.name],
            because: "a number as `seats`",
        },
    ]
    {
        /// Distinct holders at a time, or `unlimited`.
        SEATS "seats": WordOr<Unlimited, Count32<1, SEATS_MAX>>, optional "the limit's";
        /// How long a seat is kept after its last touch.
        IDLE "idle": Idle, optional "the limit's";
        /// The callers, as in the override of a [bucket](#limits).
        FOR "for": Map<CallerSelector>, required;
    }
}
