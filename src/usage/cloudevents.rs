//! CloudEvents: one event for each series of a batch, in one JSON array.
//!
//! A receiver tells events apart by source and id. An id is made of the batch and the series, so a
//! batch that is sent again has the same ids, with the same numbers.

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};

use super::batch::Batch;
use super::change::{Change, EVENT};
use super::series::{Series, Tags};
use super::table::Table;
use crate::base::time::Timestamp;
use crate::policy::template::InstantForm;

/// The type of a batch.
pub const CONTENT_TYPE: &str = "application/cloudevents-batch+json";

/// The path at which a receiver takes events.
pub const PATH: &str = "/api/v1/events";

/// The tag whose value is the subject of an event, if the policy has it.
const SUBJECT: &str = "subject";

/// The sums of a batch as events of the policy called `policy`, from the proxy `node`. Empty if it
/// has none.
#[must_use]
pub fn sums(table: &Table<'_>, batch: Batch, policy: &str, node: &str) -> Vec<u8> {
    let source = source(policy, node);
    let points = table.points(0).filter(|point| point.requests > 0);
    let events = points.map(|point| {
        let mut data: Map<String, Value> = point
            .series
            .texts()
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value.into()))
            .collect();
        data.insert("value".to_owned(), point.requests.into());
        let id = format!("{:x}-{}", batch.to, hash(point.key));
        let subject = subject(&point.series).unwrap_or(policy);
        event(&source, &id, (point.series.metric, subject), batch.to, data)
    });
    join(events)
}

/// Changes of the policy called `policy` as events.
#[must_use]
pub fn changes(changes: &[Change], policy: &str, node: &str) -> Vec<u8> {
    let source = source(policy, node);
    join(changes.iter().map(|change| {
        let texts = change.texts(policy);
        let data = texts.map(|(name, value)| (name.to_owned(), value.into()));
        let id = format!("{:x}-changed", change.at);
        event(&source, &id, (EVENT, policy), change.at, data.collect())
    }))
}

fn event(
    source: &str,
    id: &str,
    (kind, subject): (&str, &str),
    at: u64,
    data: Map<String, Value>,
) -> Value {
    let mut time = String::new();
    InstantForm::Iso8601.write(&mut time, Timestamp::from_nanos(at));
    let fields = [
        ("specversion", "1.0"),
        ("type", kind),
        ("source", source),
        ("id", id),
        ("time", &time),
        ("subject", subject),
        ("datacontenttype", "application/json"),
    ];
    let fields = fields.map(|(name, value)| (name.to_owned(), value.into()));
    let data = ("data".to_owned(), Value::Object(data));
    Value::Object(fields.into_iter().chain([data]).collect())
}

fn join(events: impl Iterator<Item = Value>) -> Vec<u8> {
    let mut json = Vec::new();
    for event in events {
        json.push(if json.is_empty() { b'[' } else { b',' });
        json.extend_from_slice(event.to_string().as_bytes());
    }
    if !json.is_empty() {
        json.push(b']');
    }
    json
}

/// A reference to a URI, as the standard asks.
fn source(policy: &str, node: &str) -> String {
    let node = utf8_percent_encode(node, NON_ALPHANUMERIC);
    format!("/sluicegate/{node}/{policy}")
}

fn subject<'s>(series: &Series<'s>) -> Option<&'s str> {
    let Tags::Caller { own, .. } = &series.tags else {
        return None;
    };
    let stated = own.iter().find(|(name, _)| *name == SUBJECT);
    stated.or(own.first()).map(|(_, value)| *value)
}

fn hash(key: &[u8]) -> String {
    let digest = Sha256::digest(key);
    let bytes = digest.iter().take(8);
    bytes.map(|byte| format!("{byte:02x}")).collect()
}
