//! A collector of OpenTelemetry: refusals as log records, with the names of its semantic
//! conventions, and the metrics.

use super::Address;
use crate::cli::yaml::{indented, quoted};
use crate::observe::access_log;
use crate::policy::Policy;
use crate::policy::access_log::Parts;
use crate::policy::document::{Entry, Node, Value};
use crate::policy::usage::{CLUSTER_USUAL, Protocol, Target};

/// The cluster of the collector, and the protocol: those of usage, if that goes to one.
pub(in crate::cli) fn collector(policy: &Policy) -> (&str, Protocol) {
    match policy.usage.as_ref().map(|usage| &usage.to) {
        Some(Target::Otlp { cluster, protocol }) => (cluster, *protocol),
        Some(Target::Stats | Target::CloudEvents { .. }) | None => (CLUSTER_USUAL, Protocol::Http),
    }
}

/// The attribute of a caller that OpenTelemetry has a name for.
const USER: &str = "user";

/// Envoy's own properties of a request.
const OF_THE_REQUEST: [(&str, &str); 7] = [
    ("client.address", "DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT"),
    ("http.request.method", "REQ(:METHOD)"),
    ("url.path", "PATH(NQ)"),
    ("http.response.status_code", "RESPONSE_CODE"),
    ("user_agent.original", "REQ(USER-AGENT)"),
    ("http.request.header.traceparent", "REQ(TRACEPARENT)"),
    ("http.request.header.x-request-id", "REQ(X-REQUEST-ID)"),
];

/// The parts of the filter's line.
const OF_THE_DECISION: [(&str, &str); 4] = [
    ("sluicegate.decision", "decision"),
    ("security_rule.name", "limit"),
    ("security_rule.ruleset.name", "policy"),
    ("security_rule.version", "revision"),
];

/// The condition of a record, in CEL: the filter has refused the request.
pub(in crate::cli) const REFUSALS: &str = "response.code_details.startsWith('sluicegate_') && \
                                           response.code_details != 'sluicegate_endpoint'";

/// The names of a record's attributes, each with its format. The decision is one string unless the
/// policy, or what is written of it ([`audited`]), has its parts.
pub(in crate::cli) fn attributes(policy: &Policy, audited: bool) -> Vec<(String, String)> {
    let mut all = Vec::new();
    let mut add = |name: &str, value: &str| all.push((name.to_owned(), format!("%{value}%")));
    for (name, value) in OF_THE_REQUEST {
        add(name, value);
    }
    if !audited && (policy.log_parts == Parts::Never || policy.access_log.is_none()) {
        add(
            "sluicegate",
            &format!("FILTER_STATE(wasm.{}:PLAIN)", access_log::KEY),
        );
        return all;
    }
    let part = |name: &str| format!("FILTER_STATE(wasm.{}.{name}:PLAIN)", access_log::KEY);
    for (name, value) in OF_THE_DECISION {
        add(name, &part(value));
    }
    for attribute in policy.access_log.iter().flatten() {
        match policy.attributes.name(*attribute) {
            USER => add("user.id", &part(USER)),
            name => add(&format!("sluicegate.{name}"), &part(name)),
        }
    }
    all
}

/// The access logger, as an item of a list.
pub(in crate::cli) fn logger(collector: &Address, policy: &Policy) -> String {
    let attributes = attributes(policy, true).into_iter().map(|(name, value)| {
        let (name, value) = (quoted(&name), quoted(&value));
        format!("        - {{ key: {name}, value: {{ string_value: {value} }} }}\n")
    });
    let attributes: String = attributes.collect();
    format!(
        include_str!("audit.yaml.in"),
        service = service(collector, policy, "logs"),
        refusals = quoted(REFUSALS),
        attributes = attributes.trim_end(),
    )
}

/// The collector's service for `signal`, as Envoy's log and its metrics name it.
fn service(collector: &Address, policy: &Policy, signal: &str) -> String {
    let (cluster, protocol) = self::collector(policy);
    let cluster = quoted(cluster);
    match protocol {
        Protocol::Http => {
            let uri = quoted(&format!("http://{}/v1/{signal}", collector.authority()));
            format!(
                "http_service: {{ http_uri: {{ uri: {uri}, cluster: {cluster}, timeout: 5s }} }}"
            )
        }
        Protocol::Grpc => {
            format!("grpc_service: {{ envoy_grpc: {{ cluster_name: {cluster} }}, timeout: 5s }}")
        }
    }
}

/// The sink by which Envoy sends the metrics of the filter to the collector, as a member of a
/// bootstrap.
pub(in crate::cli) fn stats_sink(collector: &Address, policy: &Policy) -> String {
    format!(
        include_str!("stats_sink.yaml.in"),
        service = service(collector, policy, "metrics"),
        node = super::NODE,
    )
}

/// The cluster of the collector, as an item of a bootstrap's list.
pub(in crate::cli) fn cluster(address: &Address, policy: &Policy) -> String {
    let (name, protocol) = collector(policy);
    let cluster = format!(
        include_str!("otlp.yaml.in"),
        name = quoted(name),
        address = address,
        http2 = match protocol {
            Protocol::Http => "",
            Protocol::Grpc => include_str!("http2.yaml.in"),
        },
    );
    indented(&cluster, 4)
}

/// The document, with the parts that the audit log reads, and with the revision that it has
/// without them.
pub(in crate::cli) fn audited(document: &Node, policy: &Policy) -> Node {
    let mut document = document.clone();
    if policy.log_parts != Parts::Never && policy.access_log.is_some() {
        return document;
    }
    let Value::Map(entries) = &mut document.value else {
        return document;
    };
    pin(entries, policy);
    let parts = entry("parts", text("refused"));
    let log = entries.iter_mut().find(|entry| &*entry.key == "access_log");
    match log.map(|entry| &mut entry.value.value) {
        Some(Value::Map(keys)) => {
            keys.retain(|entry| &*entry.key != "parts");
            keys.push(parts);
        }
        Some(_) | None => {
            let none = entry("attributes", Node::new(Value::List(Vec::new()), 0));
            let log = Node::new(Value::Map(vec![none, parts]), 0);
            entries.push(entry("access_log", log));
        }
    }
    document
}

/// The document, with an export of usage, and with the revision that it has without one.
pub(in crate::cli) fn measured(document: Node, policy: &Policy) -> Node {
    let mut document = document;
    if policy.usage.is_none()
        && let Value::Map(entries) = &mut document.value
    {
        pin(entries, policy);
        let cluster = entry("otlp", text(CLUSTER_USUAL));
        let to = entry("to", Node::new(Value::Map(vec![cluster]), 0));
        entries.push(entry("usage", Node::new(Value::Map(vec![to]), 0)));
    }
    document
}

/// States the revision, which the content no longer gives.
fn pin(entries: &mut Vec<Entry>, policy: &Policy) {
    entries.retain(|entry| &*entry.key != "revision");
    entries.push(entry("revision", text(&policy.revision)));
}

fn entry(key: &str, value: Node) -> Entry {
    Entry {
        key: key.into(),
        line: 0,
        value,
    }
}

fn text(text: &str) -> Node {
    Node::new(Value::String(text.into()), 0)
}
