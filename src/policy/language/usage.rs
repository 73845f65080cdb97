//! The export of usage: how much of its limits each caller uses.

use super::formats::{Reference, Text, text};
use super::key::{mapping, words};
use super::kind::{Choice, Count32, Kind, List, Map, Set, True};
use super::{Constraint, Field, parse};
#[cfg(not(target_arch = "wasm32"))]
use super::{Names, Rest, Shape, TextFormat, patterns};
use crate::base::time::Span;
use crate::policy::usage::{EVERY_MAX, Protocol, SERIES_MAX, SERIES_MAX_USUAL};
#[cfg(not(target_arch = "wasm32"))]
use crate::policy::usage::{TAGS_MAX, TAGS_OWN};

/// The most bytes of a cluster's name.
const CLUSTER_BYTES_MAX: usize = 128;

text! {
    /// A length of time: a whole number and `s` or `m` (or `min`), from `1s` to `5m`.
    Interval -> Span, |field| field.span(EVERY_MAX);
    name: "Interval", values: "whole number and `s`, `m` (or `min`); `1s` to `5m`",
    pattern: Some(patterns::span("s|m|min")), examples: &["10s"],
}

text! {
    /// The name of a metric: up to 128 of `a-z`, `A-Z`, `0-9` and `_./-`, beginning with a letter.
    MetricName -> &'a str, |field| parse::metric(field);
    name: "MetricName", values: "name of a metric", pattern: Some(patterns::metric()),
    examples: &["api.usage.per_org"],
}

words! {
    Protocol, "a protocol of OTLP" {
        /// By HTTP: `POST /v1/metrics` and `/v1/logs`, with protobuf.
        "http" => Self::Http,
        /// By gRPC. The cluster must speak HTTP/2.
        "grpc" => Self::Grpc,
    }
}

mapping! {
    /// How often each caller used each limit, counted in the filter and sent from there.
    Usage "{ to: { otlp: otel-collector } }" {
        /// The time between two exports, `1s` to `5m`.
        EVERY "every": Interval, optional "10s";
        /// The most series of this proxy at a time: combinations of a metric, a limit, a status and
        /// the values of tags. Requests of other series are counted under `otel.metric.overflow`.
        SERIES_MAX "series_max": Count32<1, SERIES_MAX>, default SERIES_MAX_USUAL;
        /// Where usage goes: [to](#where-usage-goes).
        TO "to": Map<UsageTarget>, optional "`{ otlp: otel-collector }`";
        /// The metrics, each of some limits.
        METRICS "metrics": List<Map<UsageMetric>, 1, 100>, optional
            "`sluicegate.usage.requests`, for all limits";
        /// Attributes of the caller that become tags of each series.
        TAGS "tags": Map<UsageTags>, optional "none";
    }
}

mapping! {
    /// Where usage goes.
    UsageTarget "{ otlp: otel-collector }"
    constraints [
        Constraint::ExactlyOne(&[
            Self::OTLP.name,
            Self::STATS.name,
            Self::CLOUDEVENTS.name,
        ]),
        Constraint::Requires {
            key: Self::PROTOCOL.name,
            other: Self::OTLP.name,
            because: "`otlp`",
        },
    ]
    {
        /// The Envoy cluster of an OpenTelemetry collector, which gets OTLP.
        OTLP "otlp": Text<CLUSTER_BYTES_MAX>, optional "no OTLP";
        /// The protocol of `otlp`.
        PROTOCOL "protocol": Choice<Protocol>, default Protocol::Http;
        /// Counters of Envoy, next to its own statistics.
        STATS "stats": True, optional "no counters";
        /// The Envoy cluster of a receiver of CloudEvents, such as OpenMeter: batches as JSON, by
        /// `POST /api/v1/events`.
        CLOUDEVENTS "cloudevents": Text<CLUSTER_BYTES_MAX>, optional "no CloudEvents";
    }
}

mapping! {
    /// One metric.
    UsageMetric "{ name: api.usage.per_org, limits: [standard] }" {
        /// Its name. The gauge of the same name and `_ratio` states the share of the limit.
        NAME "name": MetricName, required;
        /// The limits that it counts, by name.
        LIMITS "limits": Set<Reference, 1, 1_000>, required;
    }
}

mapping! {
    /// Tags, each with the attribute that has its value.
    UsageTags "{ user_uuid: user }" {}
    rest Rest {
        key: "name of the tag",
        doc: "The attribute. A caller without a value has `N/A`.",
        names: Names::Tag(&TAGS_OWN),
        shape: Reference::shape(),
        count: (None, Some(TAGS_MAX)),
        absent: "none",
        words: Vec::new(),
    };
}
