//! Envoy's configuration as text, readable and meant to be edited further.

pub(super) mod audit;
mod engine;
mod filter;
pub(super) mod metrics;
pub(super) mod operator;

pub(super) use engine::EngineArgs;
pub(super) use filter::{Configuration, Filter, FilterSource};

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::Path;

use super::yaml::{block, indented, indented_tail, quoted};
use crate::observe::access_log;
use crate::observe::metrics::LABELS;
use crate::policy::Policy;
use crate::policy::access_log::Parts;
use crate::policy::document::Node;
use crate::policy::payloads::Payload;
use crate::policy::usage::Target;
use crate::usage::stats;

/// A host and a port.
#[derive(Clone, Debug)]
pub(super) struct Address {
    host: String,
    port: u16,
}

/// The source of a bootstrap's listeners.
pub(super) enum Listeners<'a> {
    /// In the bootstrap itself; their texts.
    Static(&'a [String]),
    /// From a file that Envoy watches.
    Watched(&'a Path),
}

impl Address {
    /// Parses `HOST:PORT`; an IPv6 address is in brackets.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let wrong = || format!("\"{text}\" is not HOST:PORT");
        let (host, port) = text.rsplit_once(':').ok_or_else(wrong)?;
        let digits = port.bytes().all(|byte| byte.is_ascii_digit());
        let port = port
            .parse()
            .ok()
            .filter(|port| digits && *port > 0)
            .ok_or_else(|| format!("the port of \"{text}\" is not in 1..=65535"))?;
        let bare = host
            .strip_prefix('[')
            .and_then(|host| host.strip_suffix(']'));
        let host = match bare {
            Some(v6) if v6.parse::<Ipv6Addr>().is_ok() => v6,
            None if is_host(host) => host,
            Some(_) | None => return Err(wrong()),
        };
        Ok(Self {
            host: host.to_owned(),
            port,
        })
    }

    /// As [`Address::parse`], but the host must be an IP address or `localhost`.
    pub(super) fn parse_ip(text: &str) -> Result<Self, String> {
        let mut address = Self::parse(text)?;
        if address.host == "localhost" {
            address.host = Ipv4Addr::LOCALHOST.to_string();
        }
        match address.host.parse::<IpAddr>() {
            Ok(_) => Ok(address),
            Err(_) => Err(format!(
                "\"{}\" is not an IP address, which a listener needs",
                address.host
            )),
        }
    }
}

fn is_host(text: &str) -> bool {
    !text.is_empty()
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_'))
}

impl Address {
    /// The host, without brackets.
    pub(super) fn host(&self) -> &str {
        &self.host
    }

    pub(super) fn port(&self) -> u16 {
        self.port
    }

    /// `HOST:PORT`, with an IPv6 address in brackets.
    pub(super) fn authority(&self) -> String {
        if self.host.contains(':') {
            format!("[{}]:{}", self.host, self.port)
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }

    /// Where this machine reaches a server that listens here.
    fn reached(&self) -> Self {
        let host = match self.host.parse::<IpAddr>() {
            Ok(IpAddr::V4(ip)) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.to_string(),
            Ok(IpAddr::V6(ip)) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.to_string(),
            Ok(_) | Err(_) => self.host.clone(),
        };
        Self {
            host,
            port: self.port,
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{{ socket_address: {{ address: {}, port_value: {} }} }}",
            quoted(&self.host),
            self.port
        )
    }
}

/// Parses `KEY=VALUE`.
pub(super) fn parse_pair(text: &str) -> Result<(String, String), String> {
    let pair = text.split_once('=').filter(|(key, _)| !key.is_empty());
    pair.map(|(key, value)| (key.to_owned(), value.to_owned()))
        .ok_or_else(|| format!("\"{text}\" is not KEY=VALUE"))
}

/// The name of the upstream's cluster.
pub(super) const UPSTREAM: &str = "upstream";

/// The id of the proxy in a bootstrap.
const NODE: &str = "sluicegate";

/// The labels of all metrics under this policy.
pub(super) fn labels(policy: &Policy) -> Vec<String> {
    let mut labels: Vec<String> = LABELS.iter().map(|label| (*label).to_owned()).collect();
    if let Some(usage) = policy.usage.as_ref().filter(|it| it.to == Target::Stats) {
        labels.extend(stats::LABELS.map(str::to_owned));
        for label in stats::own_labels(usage) {
            if !labels.contains(&label) {
                labels.push(label);
            }
        }
    }
    labels
}

/// A complete bootstrap, with one more listener, with `clusters` besides the upstream's, and with
/// `sinks` of the metrics. If a key of `metadata` occurs more than once, the last value counts.
pub(super) fn bootstrap(
    listeners: &Listeners<'_>,
    metrics: Option<String>,
    upstream: &Address,
    admin: &Address,
    metadata: &[(String, String)],
    (labels, sinks, clusters): (&[String], &str, &str),
) -> String {
    let (resources, own) = match listeners {
        Listeners::Static(listeners) => (String::new(), listeners.to_vec()),
        Listeners::Watched(path) => {
            let path = quoted(&path.display().to_string());
            let watched = format!(
                "dynamic_resources:\n  lds_config:\n    resource_api_version: V3\n    \
                 path_config_source: {{ path: {path} }}\n"
            );
            (watched, Vec::new())
        }
    };
    let statics: String = own
        .into_iter()
        .chain(metrics)
        .map(|listener| indented(&format!("- {}", indented_tail(&listener)), 4))
        .collect();
    let statics = match statics.as_str() {
        "" => String::new(),
        listeners => format!("  listeners:\n{listeners}"),
    };
    let metadata: BTreeMap<&str, &str> = metadata
        .iter()
        .map(|(key, value)| (&**key, &**value))
        .collect();
    let metadata: Vec<String> = metadata
        .iter()
        .map(|(key, value)| format!("{}: {}", quoted(key), quoted(value)))
        .collect();
    let metadata = match metadata.as_slice() {
        [] => String::new(),
        pairs => format!(", metadata: {{ {} }}", pairs.join(", ")),
    };
    format!(
        include_str!("envoy/bootstrap.yaml.in"),
        node = NODE,
        metadata = metadata,
        admin = admin,
        tags = indented(&stats_tags(labels), 4),
        sinks = sinks,
        resources = resources,
        statics = statics,
        name = UPSTREAM,
        upstream = upstream,
        clusters = clusters,
    )
}

/// The rules that extract the labels of the filter's counters from their names, as a list. A label
/// begins the name, or follows another one: `status` is no part of `rate_limit_status`.
pub(super) fn stats_tags(labels: &[String]) -> String {
    let rule = |label| {
        format!("- {{ tag_name: {label}, regex: '(?:\\.|;\\.;)({label}=\\.=(.*?);\\.;)' }}\n")
    };
    labels.iter().map(rule).collect()
}

/// The content of the file for `--listeners`.
pub(super) fn discovery_response(listeners: &[String]) -> String {
    let resource = |listener: &String| {
        let resource = format!(
            "- \"@type\": type.googleapis.com/envoy.config.listener.v3.Listener\n  {}",
            indented_tail(listener)
        );
        indented(&resource, 2)
    };
    let resources: String = listeners.iter().map(resource).collect();
    format!("# Written by `sluicegate render listeners`.\nresources:\n{resources}")
}

/// Settings of the listener that a policy needs in addition to the filter.
pub(super) struct ListenerNeeds<'a> {
    /// The policy, if it writes decisions to the access log.
    pub(super) log: Option<&'a Policy>,
    /// The logger of refusals.
    pub(super) audit: Option<String>,
    /// The bytes of a message that Envoy buffers.
    pub(super) buffer_bytes: u64,
}

/// The most bytes of one read, and the buffer if no body is held: 1 MiB.
const READ_BYTES: u64 = 1 << 20;

/// The largest value of Envoy's setting.
const BUFFER_BYTES_MAX: u64 = 0xffff_ffff;

/// The bytes of a message that Envoy must buffer under a payload limit that holds bodies: one read
/// more than the largest body, so that the filter sees the excess before Envoy answers 413 itself.
/// `None` if the body has no bound, or one larger than Envoy can buffer.
pub(super) fn payload_buffer_bytes(payload: &Payload) -> Option<u64> {
    let all = payload.overrides.all().iter().chain([&payload.bounds]);
    let largest = all
        .map(|bounds| bounds.bytes)
        .try_fold(0, |largest, bytes| Some(bytes?.max(largest)))?;
    Some(largest.saturating_add(READ_BYTES)).filter(|bytes| *bytes <= BUFFER_BYTES_MAX)
}

/// The same for a whole policy. A held body without a bound needs no more than the others.
pub(super) fn buffer_bytes(policy: &Policy) -> u64 {
    let held = policy.payloads.iter().filter(|payload| payload.hold);
    held.filter_map(payload_buffer_bytes)
        .fold(READ_BYTES, u64::max)
}

/// The fields of the access log that the filter provides: its line, and with `access_log.parts`
/// also the parts of it.
fn decisions(policy: Option<&Policy>) -> String {
    let Some(policy) = policy else {
        return String::new();
    };
    let state = |name: &str| quoted(&format!("%FILTER_STATE(wasm.{name}:PLAIN)%"));
    let mut text = format!("\nsluicegate: {}", state(access_log::KEY));
    if policy.log_parts != Parts::Never {
        text.push_str("\nsluicegate_parts:");
        let attributes = policy.access_log.iter().flatten();
        let attributes = attributes.map(|id| policy.attributes.name(*id));
        let engine = policy.engine.iter().map(|_| "engine");
        let own = ["decision", "limit", "tier", "policy", "revision"];
        // An attribute may have such a name, too.
        let names: BTreeSet<&str> = own.into_iter().chain(engine).chain(attributes).collect();
        for name in names {
            let key = format!("{}.{name}", access_log::KEY);
            text.push_str(&format!("\n  {}: {}", quoted(name), state(&key)));
        }
    }
    text.replace('\n', &format!("\n{:20}", ""))
}

/// The logger of refusals, as more lines of the list of loggers.
fn audited_by(needs: &ListenerNeeds<'_>) -> String {
    needs.audit.as_ref().map_or_else(String::new, |logger| {
        format!("\n{}", indented(logger.trim_end(), 12).trim_end())
    })
}

/// The listener with the filter after `filters`, as lines of a map without indentation.
pub(super) fn listener(
    listen: &Address,
    filters: &Node,
    filter: &FilterSource<'_>,
    needs: &ListenerNeeds<'_>,
) -> String {
    let before = indented(&block(filters), 12);
    let decision = decisions(needs.log);
    format!(
        include_str!("envoy/listener.yaml.in"),
        listen = listen,
        buffer_bytes = needs.buffer_bytes,
        decision = decision,
        audit = audited_by(needs),
        before = before,
        filter = indented(&filter.http_filter(), 12),
    )
}
