//! Limits: the requests that each counts, their keys, and how many it admits.

#[cfg(not(target_arch = "wasm32"))]
use serde_json::json;

use super::formats::{
    HeaderName, JsonPointer, Label, Length, Name, Period, Rate, Reference, Statuses, TimeZone,
};
use super::key::{mapping, words};
use super::kind::{Choice, Count64, Either, List, Map, OrList, OrMap, Set, True};
use super::overrides::{Burst, Quota, RuleOverride};
#[cfg(not(target_arch = "wasm32"))]
use super::patterns;
use super::{Constraint, CounterScope, LimitFailure, OwnRefusal, Routes, Selector};
use crate::base::zone::Zone;
use crate::limit::calendar::Over;
use crate::limit::{Enforcement, QUOTA_MAX};
#[cfg(not(target_arch = "wasm32"))]
use crate::policy::costs::CONTENT_LENGTH;
use crate::policy::limits::Visibility;
use crate::policy::scope::Absent;

mapping! {
    /// One limit.
    Limit "{ name: all, per: [], bucket: { burst: 100, refill: 60/min } }"
    constraints [
        Constraint::ExactlyOne(&[Self::BUCKET.name, Self::ROLLING.name, Self::CALENDAR.name]),
    ]
    {
        /// The unique name in metrics, in the access log, and in `{limit}`.
        NAME "name": Name, required;
        /// The name for people, in `{label}` and in documents that are generated. Several limits
        /// may share one.
        LABEL "label": Label, optional "the name";
        /// The selector: the requests that the limit counts. All conditions must hold.
        FOR "for": Map<Selector>, optional "every request";
        /// One counter for each combination of these attributes; `[]` is one counter for all
        /// requests. A name that every route of `for.routes` captures is valid too. Also `route`,
        /// `method`, `tier` and `host`: [words of the key](#words-of-per).
        PER "per": Set<Reference, 0, 8>, required;
        /// A caller without an attribute of `per`.
        ABSENT "absent": Choice<Absent>, default Absent::Count;
        /// The units that one request takes: [costs](#costs).
        COST "cost": OrList<Units, Map<CostEntry>, COSTS_MAX>, default Either::One(Either::One(1));
        /// The scope of the counters: [limits of all proxies](#limits-of-all-proxies).
        SCOPE "scope": Choice<CounterScope>, default CounterScope::Proxy;
        /// The rule: a token bucket. A burst at once, then a steady refill.
        BUCKET "bucket": Map<Bucket>, optional "one of these";
        /// The rule: a window that ends at the request.
        ROLLING "rolling": Map<Rolling>, optional "one of these";
        /// The rule: a window of the calendar.
        CALENDAR "calendar": Map<Calendar>, optional "one of these";
        /// The treatment of requests above the quota. `count` applies only with `calendar`. A map
        /// is a [lock](#locks).
        OVER "over": OrMap<Choice<Over>, Lock>, default Either::One(Over::Refuse);
        /// Other numbers for some callers. The first override that matches applies. A change of
        /// these keeps the counters.
        OVERRIDES "overrides": List<RuleOverride, 0, 100_000>, optional "none";
        /// Which requests pay: [charge](#charge-success). A list has the statuses of the responses
        /// that are charged: numbers, or classes such as `4xx`.
        CHARGE "charge": OrList<Choice<Charge>, Statuses, 500>,
            default Either::One(Charge::Admitted);
        /// Whether the limit refuses requests.
        ENFORCEMENT "enforcement": Choice<Enforcement>, default Enforcement::Enforce;
        /// When callers see the limit's numbers.
        FIELDS "fields": Choice<Visibility>, default Visibility::Show;
        /// The answer when this limit refuses: [replies](#replies).
        REFUSED "refused": Map<OwnRefusal>, optional "that of `replies.refused`";
        /// The treatment of a request if the counter is unavailable: it cannot be read, or the
        /// engine cannot be reached and this proxy has no units left.
        FAILURE "failure": Choice<LimitFailure>, default LimitFailure::Allow;
    }
    schema vec![
        json!({
            "if": { "required": ["over"], "properties": { "over": { "const": "count" } } },
            "then": { "required": ["calendar"] },
        }),
        json!({
            "if": { "required": ["failure"], "properties": { "failure": { "const": "local" } } },
            "then": { "required": ["scope"], "properties": { "scope": { "const": "global" } } },
        }),
    ];
}

mapping! {
    /// A token bucket. It must fill within 366 days.
    Bucket "{ burst: 100, refill: 60/min }" {
        /// The most units at one instant.
        BURST "burst": Burst, required;
        /// The rate at which units come back, continuously. The bucket must fill within 366 days.
        REFILL "refill": Rate, required;
    }
}

mapping! {
    /// A lock after a refusal.
    Lock "{ lock: 5m }" {
        /// The time for which a refusal locks the key: all its requests are refused, and change
        /// nothing, even if units return.
        LOCK "lock": Length, required;
    }
}

mapping! {
    /// A window that ends at the request.
    Rolling "{ quota: 100, window: 10s }" {
        /// The units per window.
        QUOTA "quota": Quota, required;
        /// The length of the window. A day has 24 hours here.
        WINDOW "window": Length, required;
    }
}

mapping! {
    /// A window of the calendar.
    Calendar "{ quota: 10000, window: 1mo }" {
        /// The units per window.
        QUOTA "quota": Quota, required;
        /// The span of the calendar, such as `15m`, `1h`, `1mo`.
        WINDOW "window": Period, required;
        /// The time zone in whose local time the window begins and ends.
        ZONE "zone": TimeZone, default Zone::UTC;
    }
}

/// Units that a request takes, or their source.
type Units = OrMap<Count64<0, QUOTA_MAX>, CostSource>;

/// The most costs of one limit.
const COSTS_MAX: usize = 100;

mapping! {
    /// One of several costs: the first that a request matches applies.
    CostEntry "{ routes: [\"POST /**\"], units: 5 }" {
        /// The request matches one of these routes. Only the last entry may omit them. A request
        /// that matches no entry costs 1.
        ROUTES "routes": Routes, optional "every request";
        /// The units: any cost.
        UNITS "units": Units, required;
    }
}

mapping! {
    /// The source of a request's cost. A header that is missing or malformed counts as 1.
    CostSource "{ header: x-cost, trusted: true }"
    constraints [
        Constraint::Requires {
            key: Self::TRUSTED.name,
            other: Self::HEADER.name,
            because: "`header`",
        },
        Constraint::ExactlyOne(&[
            Self::HEADER.name,
            Self::RESPONSE_HEADER.name,
            Self::BYTES.name,
            Self::LINES.name,
            Self::ITEMS.name,
            Self::SETTLE.name,
        ]),
        Constraint::Requires {
            key: Self::RESERVE.name,
            other: Self::SETTLE.name,
            because: "`settle`",
        },
        Constraint::Requires {
            key: Self::SETTLE.name,
            other: Self::RESERVE.name,
            because: "`reserve`",
        },
    ]
    {
        /// A request header, which no client can send. Requires `trusted: true`, except for
        /// `content-length`.
        HEADER "header": HeaderName, optional "one of these";
        /// A response header: as `reserve: 1` with this header in `settle`.
        RESPONSE_HEADER "response_header": HeaderName, optional "one of these";
        /// The units that a request takes when it is admitted, until its cost is known. The
        /// request is admitted only if they fit.
        RESERVE "reserve": OrMap<Count64<1, QUOTA_MAX>, ReserveSource>, optional "none";
        /// With `reserve`: the source that states the cost later. A smaller cost refunds the
        /// difference, and a larger one overdraws the limit.
        SETTLE "settle": Map<Settle>, optional "one of these";
        /// The bytes of the body as sent.
        BYTES "bytes": Choice<MeasuredBody>, optional "one of these";
        /// The lines of the body that are neither empty nor a comment.
        LINES "lines": Choice<MeasuredBody>, optional "one of these";
        /// The items of the array at this pointer in the JSON; 1 if there is none.
        ITEMS "items": JsonPointer, optional "one of these";
        /// The promise that clients cannot send the header, as for
        /// [attributes](#sources-of-attributes). Required with any `header` but `content-length`.
        TRUSTED "trusted": True, optional "none";
    }
    schema vec![json!({
        "if": { "required": ["header"], "properties": { "header": {
            "not": { "pattern": format!("^{}$", patterns::case_insensitive(CONTENT_LENGTH)) },
        } } },
        "then": { "required": ["trusted"] },
    })];
}

mapping! {
    /// The units that a request reserves, stated by the request.
    ReserveSource "{ header: x-max, trusted: true, else: 1000, at_most: 10000 }" {
        /// A request header, which no client can send.
        HEADER "header": HeaderName, required;
        /// The promise that clients cannot send the header.
        TRUSTED "trusted": True, required;
        /// The units if the header is missing, or is not a whole number from 1 up.
        ELSE "else": Count64<1, QUOTA_MAX>, required;
        /// The most units: a larger number is cut.
        AT_MOST "at_most": Count64<1, QUOTA_MAX>, required;
    }
}

mapping! {
    /// The source that states the cost of an admitted request.
    Settle "{ response_header: x-tokens }"
    constraints [Constraint::ExactlyOne(&[
        Self::RESPONSE_HEADER.name,
        Self::BYTES.name,
        Self::LINES.name,
        Self::ITEMS.name,
    ])]
    {
        /// A response header. A response that does not state a whole number there keeps the
        /// reservation.
        RESPONSE_HEADER "response_header": HeaderName, optional "one of these";
        /// The bytes of the body as sent.
        BYTES "bytes": Choice<MeasuredBody>, optional "one of these";
        /// The lines of the body that are neither empty nor a comment.
        LINES "lines": Choice<MeasuredBody>, optional "one of these";
        /// The items of the array at this pointer in the JSON; 1 if there is none.
        ITEMS "items": JsonPointer, optional "one of these";
    }
}

/// A body whose size is a cost.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum MeasuredBody {
    /// The body of the request.
    Request,
}

words! {
    MeasuredBody, "a body that can be measured" {
        /// The body of the request. One unit is reserved until the body has ended.
        "request" => Self::Request,
    }
}

words! {
    Over, "a treatment of overage" {
        /// Refuse them.
        "refuse" => Self::Refuse,
        /// Admit them, and count the overage.
        "count" => Self::Count,
    }
}

/// A way to charge.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Charge {
    /// Every admitted request.
    Admitted,
    /// Every one that does not fail.
    Success,
    /// Every one that fails.
    Failure,
}

words! {
    Charge, "a way to charge" {
        /// Every admitted request.
        "admitted" => Self::Admitted,
        /// As `admitted`, but the charge is refunded if the response has a status of 400 or above,
        /// or a `grpc-status` other than 0.
        "success" => Self::Success,
        /// As `admitted`, but the charge is refunded unless the response has a status of 400 or
        /// above, or a `grpc-status` other than 0.
        "failure" => Self::Failure,
    }
}

words! {
    Enforcement, "an enforcement" {
        /// Refuse requests above the limit.
        "enforce" => Self::Enforce,
        /// Evaluate, and charge if the limit would admit. Never refuse, and never show callers the
        /// limit's numbers. Metrics and access log record a request that the limit would refuse as
        /// `would_refuse`.
        "shadow" => Self::Shadow,
    }
}

words! {
    Visibility, "a visibility" {
        /// Whenever the limit applies.
        "show" => Self::Show,
        /// If the limit refuses. Its overage, if it counts that, always.
        "hide" => Self::Hide,
        /// Not even if the limit refuses. Such a refusal has the fields of the other limits, and
        /// does not name this one.
        "never" => Self::Never,
    }
}
