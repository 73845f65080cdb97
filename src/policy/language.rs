//! The policy language: one declaration for each key.
//!
//! ```text
//!               ┌─▶ MapField: known, required and default keys, ranges, words, constraints
//! mapping! {…} ─┤
//!               └─▶ Description ─┬─▶ cli/schema.rs    ─▶ docs/policy.schema.json
//!                  (native only) └─▶ cli/reference.rs ─▶ docs/policy.md
//! ```
//!
//! A reader reads a value by its key: `map.read(lang::Queue::LENGTH)`. A key without a declaration,
//! or one of another mapping, does not compile, and a declared key that no reader reads is dead
//! code in the filter. The documentation of a key is the comment on its declaration. It is part of
//! the [`Description`], which the filter does not contain.

mod callers;
mod concurrency;
#[cfg(not(target_arch = "wasm32"))]
mod description;
mod document;
mod engine;
mod formats;
mod key;
mod kind;
mod limits;
mod overrides;
mod parse;
#[cfg(not(target_arch = "wasm32"))]
mod patterns;
mod payloads;
mod replies;
mod select;
mod templates;
mod usage;

use super::reader::{Field, MapField};

pub(crate) use callers::{
    AddressPrefixes, CallerRoutes, Callers, Credential, DirectoryEntry, Source, SourceList, Sources,
};
pub(crate) use concurrency::{Pool, PoolOverride, Queue, Seats, SeatsOverride};
#[cfg(not(target_arch = "wasm32"))]
pub(crate) use description::{
    Describe, Description, KeyDescription, Names, Rest, Shape, Stated, TextFormat, WordDescription,
};
pub(crate) use document::{AccessLog, Policy, Store};
pub(crate) use engine::{CounterScope, Engine, LimitFailure, Password};
#[cfg(not(target_arch = "wasm32"))]
pub(crate) use formats::{Name, Text};
pub(crate) use formats::{Reference, Statuses};
pub(crate) use key::{Constraint, Fills, Key, Mapping, Or, Presence, Words};
pub(crate) use kind::{Either, Kind, Map};
pub(crate) use limits::{
    Bucket, Calendar, Charge, CostEntry, CostSource, Limit, Lock, MeasuredBody, ReserveSource,
    Rolling, Settle,
};
pub(crate) use overrides::{
    BucketOverride, CalendarOverride, OVERRIDE_KEYS, OwnNumber, RollingOverride, Unlimited,
};
#[cfg(not(target_arch = "wasm32"))]
pub(crate) use patterns::{GROUPED, settable_header, tag};
pub(crate) use payloads::{
    JsonObjects, JsonObjectsOverride, JsonShape, JsonShapeOverride, JsonValue, JsonValueOverride,
    Members, NAMES_TO_REMEMBER, Payload, PayloadOverride,
};
pub(crate) use replies::{
    Denied, Endpoint, Family, Fields, HEADERS_MAX, OwnPayloadRefusal, OwnRefusal, RefusedPayload,
    RefusedReply, Replies, RetryAfter, Unauthorized, With, WrittenField,
};
pub(crate) use select::{
    ATTRIBUTE_BYTES_MAX, CallerSelector, ConditionValues, Routes, Selector, Tier,
};
pub(crate) use templates::{HeaderValue, Placeholders, TemplateText};
pub(crate) use usage::{Usage, UsageMetric, UsageTags, UsageTarget};
