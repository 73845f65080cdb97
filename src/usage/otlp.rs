//! OTLP: batches as `ExportMetricsServiceRequest`, changes of the policy as
//! `ExportLogsServiceRequest`.

use super::batch::Batch;
use super::change::{Change, EVENT};
use super::protobuf::Message;
use super::series::{OVERFLOW_TAG, Series, Tags};
use super::table::{Point, Table};
use crate::base::VERSION;
use crate::host::wire::{Fields, Payload};
use crate::policy::usage::RATIO;

/// The service and the method of metrics by gRPC, and the path by HTTP.
pub const METRICS: Endpoint = Endpoint {
    path: "/v1/metrics",
    service: "opentelemetry.proto.collector.metrics.v1.MetricsService",
};

/// The same for logs.
pub const LOGS: Endpoint = Endpoint {
    path: "/v1/logs",
    service: "opentelemetry.proto.collector.logs.v1.LogsService",
};

/// The method of all services.
pub const METHOD: &str = "Export";

/// The type of a body.
pub const CONTENT_TYPE: &str = "application/x-protobuf";

/// The path and the method by which a collector takes one kind of message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// By HTTP.
    pub path: &'static str,
    /// By gRPC.
    pub service: &'static str,
}

/// What a collector lacks of a message that it accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejected {
    /// Data points or log records; 0 is a mere warning.
    pub count: u64,
    /// The reason, in the words of the collector.
    pub why: String,
}

/// The most bytes of a collector's words.
const WHY_BYTES_MAX: usize = 256;

/// The `partial_success` of an answer, if it states one. By the specification nothing of the
/// message may be sent again.
#[must_use]
pub fn partial_success(answer: &[u8]) -> Option<Rejected> {
    let partial = Fields::of(answer).find_map(|field| match field {
        (1, Payload::Bytes(partial)) => Some(partial),
        _ => None,
    })?;
    let mut rejected = Rejected {
        count: 0,
        why: String::new(),
    };
    for field in Fields::of(partial) {
        match field {
            (1, Payload::Varint(count)) => rejected.count = count,
            (2, Payload::Bytes(why)) => {
                let why = why.get(..WHY_BYTES_MAX).unwrap_or(why);
                rejected.why = String::from_utf8_lossy(why).into_owned();
            }
            _ => {}
        }
    }
    (rejected.count > 0 || !rejected.why.is_empty()).then_some(rejected)
}

const SERVICE: &str = "sluicegate";
const DELTA: u64 = 1;
const INFO: u64 = 9;

/// The batch of a table at the nanosecond `now`, from the proxy `node`.
#[must_use]
pub fn metrics(table: &Table<'_>, batch: Batch, now: u64, node: &str) -> Vec<u8> {
    let points: Vec<Point<'_>> = table.points(now / 1_000_000_000).collect();
    of_resource(node, |scope| {
        for metric in points.chunk_by(|one, other| one.series.metric == other.series.metric) {
            let name = metric.first().map_or("", |point| point.series.metric);
            let mut sums = metric.iter().filter(|point| point.requests > 0).peekable();
            if sums.peek().is_some() {
                scope.message(2, |message| {
                    message.text(1, name).text(3, "{request}");
                    message.message(7, |sum| {
                        for point in sums {
                            sum.message(1, |out| push_sum(out, point, batch));
                        }
                        sum.number(2, DELTA).number(3, 1);
                    });
                });
            }
            let mut ratios = metric.iter().filter_map(ratio).peekable();
            if ratios.peek().is_some() {
                scope.message(2, |message| {
                    message.text(1, &format!("{name}{RATIO}")).text(3, "1");
                    message.message(5, |gauge| {
                        for (series, ratio) in ratios {
                            gauge.message(1, |out| {
                                out.fixed(3, now.to_le_bytes());
                                out.fixed(4, ratio.to_le_bytes());
                                push_tags(out, series);
                            });
                        }
                    });
                });
            }
        }
    })
}

fn push_sum(out: &mut Message, point: &Point<'_>, batch: Batch) {
    let requests = i64::try_from(point.requests).unwrap_or(i64::MAX);
    out.fixed(2, batch.from.to_le_bytes());
    out.fixed(3, batch.to.to_le_bytes());
    out.fixed(6, requests.to_le_bytes());
    push_tags(out, &point.series);
}

/// The share of the limit that the requests of the current window are.
#[allow(
    clippy::float_arithmetic,
    clippy::cast_precision_loss,
    reason = "a gauge is a floating-point number, and nothing is decided by it"
)]
fn ratio<'t>(point: &'t Point<'t>) -> Option<(&'t Series<'t>, f64)> {
    let Tags::Caller { count, .. } = point.series.tags else {
        return None;
    };
    Some((&point.series, point.recent? as f64 / count.max(1) as f64))
}

fn push_tags(out: &mut Message, series: &Series<'_>) {
    for (name, value) in series.texts() {
        out.message(7, |pair| {
            pair.text(1, name).message(2, |any| {
                if name == OVERFLOW_TAG {
                    // OpenTelemetry has a boolean here.
                    any.number(2, 1);
                } else {
                    any.text(1, &value);
                }
            });
        });
    }
}

/// Changes of the policy called `policy`, at the nanosecond `now`.
#[must_use]
pub fn logs(changes: &[Change], policy: &str, now: u64, node: &str) -> Vec<u8> {
    of_resource(node, |scope| {
        for change in changes {
            scope.message(2, |record| {
                record.fixed(1, change.at.to_le_bytes());
                record.number(2, INFO).text(3, "INFO");
                record.message(5, |body| {
                    body.text(1, EVENT);
                });
                for (name, value) in change.texts(policy) {
                    record.message(6, |pair| {
                        pair.text(1, name).message(2, |any| {
                            any.text(1, value);
                        });
                    });
                }
                record.fixed(11, now.to_le_bytes()).text(12, EVENT);
            });
        }
    })
}

/// The parts that metrics and logs share: a resource and one scope.
fn of_resource(node: &str, write: impl FnOnce(&mut Message)) -> Vec<u8> {
    let mut request = Message::default();
    request.message(1, |resource| {
        resource.message(1, |attributes| {
            for (name, value) in [("service.name", SERVICE), ("service.instance.id", node)] {
                attributes.message(1, |pair| {
                    pair.text(1, name).message(2, |any| {
                        any.text(1, value);
                    });
                });
            }
        });
        resource.message(2, |scope| {
            scope.message(1, |about| {
                about.text(1, SERVICE).text(2, VERSION);
            });
            write(scope);
        });
    });
    request.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_says_what_the_collector_lacks() {
        let rejected = |count, why: &str| {
            Some(Rejected {
                count,
                why: why.to_owned(),
            })
        };
        for (answer, expected) in [
            (&b""[..], None),
            (b"\x0a\x00", None),
            (b"\x0a\x02\x08\x00", None),
            (b"\x0a\x02\x08\x07", rejected(7, "")),
            (b"\x0a\x04\x12\x02no", rejected(0, "no")),
            (b"\x0a\x07\x08\xac\x02\x12\x02no", rejected(300, "no")),
            (b"\x0a\x03\x12\x01\xff", rejected(0, "\u{fffd}")),
            // Anything else.
            (b"{}", None),
            (b"\x0a\xff", None),
        ] {
            assert_eq!(partial_success(answer), expected, "{answer:?}");
        }
        let long = [&b"\x0a\xaf\x02\x12\xac\x02"[..], &[b'a'; 300]].concat();
        assert_eq!(partial_success(&long).unwrap().why.len(), WHY_BYTES_MAX);
    }
}
