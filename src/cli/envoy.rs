//! Envoy's configuration as text: a person should be able to read it and take it from here.

use std::collections::BTreeMap;
use std::fmt::{self, Write as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::Path;

use super::yaml::{block, indented, indented_tail, quoted, single_quoted};
use crate::observe::access_log;
use crate::observe::metrics::LABELS;
use crate::policy::Policy;
use crate::policy::document::Node;
use crate::policy::payloads::{Bounds, Payload};

/// A host and a port.
#[derive(Clone, Debug)]
pub(super) struct Address {
    host: String,
    port: u16,
}

/// Where a bootstrap has its listeners from.
pub(super) enum Listeners<'a> {
    /// From the bootstrap itself; the listener's text.
    Static(&'a str),
    /// From a file that Envoy watches.
    Watched(&'a Path),
}

impl Address {
    /// Reads `HOST:PORT`, an IPv6 address in brackets.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let wrong = || format!("\"{text}\" is not HOST:PORT");
        let (host, port) = text.rsplit_once(':').ok_or_else(wrong)?;
        let digits = port.bytes().all(|byte| byte.is_ascii_digit());
        let port = port
            .parse()
            .ok()
            .filter(|port| digits && *port > 0)
            .ok_or_else(|| format!("the port of \"{text}\" is not in 1..=65535"))?;
        let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
        let host = match bare {
            Some(v6) if v6.parse::<Ipv6Addr>().is_ok() => v6,
            None if is_host(host) => host,
            Some(_) | None => return Err(wrong()),
        };
        Ok(Self { host: host.to_owned(), port })
    }

    /// As [`Address::parse`], and the host is one to listen at: an IP address, or `localhost`.
    pub(super) fn parse_ip(text: &str) -> Result<Self, String> {
        let mut address = Self::parse(text)?;
        if address.host == "localhost" {
            address.host = Ipv4Addr::LOCALHOST.to_string();
        }
        match address.host.parse::<IpAddr>() {
            Ok(_) => Ok(address),
            Err(_) => Err(format!("\"{}\" is not an IP address to listen at", address.host)),
        }
    }
}

fn is_host(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_'))
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{{ socket_address: {{ address: {}, port_value: {} }} }}", quoted(&self.host), self.port)
    }
}

/// Reads `KEY=VALUE`.
pub(super) fn parse_pair(text: &str) -> Result<(String, String), String> {
    let pair = text.split_once('=').filter(|(key, _)| !key.is_empty());
    pair.map(|(key, value)| (key.to_owned(), value.to_owned())).ok_or_else(|| format!("\"{text}\" is not KEY=VALUE"))
}

/// A complete bootstrap. Of a key of `metadata` that stands twice the last value counts.
pub(super) fn bootstrap(
    listeners: &Listeners<'_>,
    upstream: &Address,
    admin: &Address,
    metadata: &[(String, String)],
) -> String {
    let (resources, statics) = match listeners {
        Listeners::Static(listener) => {
            (String::new(), format!("  listeners:\n{}", indented(&format!("- {}", indented_tail(listener)), 4)))
        }
        Listeners::Watched(path) => {
            let path = quoted(&path.display().to_string());
            let watched = format!(
                "dynamic_resources:\n  lds_config:\n    resource_api_version: V3\n    path_config_source: {{ path: {path} }}\n"
            );
            (watched, String::new())
        }
    };
    let metadata: BTreeMap<&str, &str> = metadata.iter().map(|(key, value)| (&**key, &**value)).collect();
    let metadata: Vec<String> =
        metadata.iter().map(|(key, value)| format!("{}: {}", quoted(key), quoted(value))).collect();
    let metadata = match metadata.as_slice() {
        [] => String::new(),
        pairs => format!(", metadata: {{ {} }}", pairs.join(", ")),
    };
    let mut tags = String::new();
    for label in LABELS {
        // Writing to a string cannot fail.
        let _ = writeln!(tags, "    - {{ tag_name: {label}, regex: '({label}\\.=\\.(.*?);\\.;)' }}");
    }
    format!(
        r#"# Written by `sluicegate render envoy`.
node: {{ id: sluicegate, cluster: sluicegate{metadata} }}
admin:
  address: {admin}
# The filter's counters carry their labels in their names; these rules take them out again.
stats_config:
  stats_tags:
{tags}# Envoy warns where nothing bounds its connections.
overload_manager:
  resource_monitors:
    - name: envoy.resource_monitors.global_downstream_max_connections
      typed_config:
        "@type": type.googleapis.com/envoy.extensions.resource_monitors.downstream_connections.v3.DownstreamConnectionsConfig
        max_active_downstream_connections: 50000
{resources}static_resources:
{statics}  clusters:
    - name: upstream
      type: STRICT_DNS
      connect_timeout: 5s
      load_assignment:
        cluster_name: upstream
        endpoints:
          - lb_endpoints:
              - endpoint: {{ address: {upstream} }}
      circuit_breakers:
        thresholds:
          - {{ max_connections: 10000, max_pending_requests: 10000, max_requests: 10000 }}
"#
    )
}

/// What a file for `--listeners` holds.
pub(super) fn discovery_response(listener: &str) -> String {
    let resource =
        format!("- \"@type\": type.googleapis.com/envoy.config.listener.v3.Listener\n  {}", indented_tail(listener));
    format!("# Written by `sluicegate render listeners`.\nresources:\n{}", indented(&resource, 2))
}

/// What a policy asks of the listener beside the filter.
#[derive(Clone, Copy)]
pub(super) struct Asks {
    /// Its decisions stand in the access log.
    pub(super) decisions: bool,
    /// Requests wait for their bodies.
    pub(super) hold: bool,
    /// The bytes of one message that Envoy keeps.
    pub(super) buffer_bytes: u64,
}

/// The most bytes that one read brings, and what Envoy keeps of a message where nothing is held: 1 MiB.
const READ_BYTES: u64 = 1 << 20;

/// The most that Envoy's setting can say.
const BUFFER_BYTES_MAX: u64 = 0xffff_ffff;

/// The bytes of one message that Envoy must keep under a payload limit that holds: one read above the
/// largest body, so that the filter sees what is over before Envoy answers 413 itself. `None` where that
/// has no bound, or one above what Envoy can keep.
pub(super) fn payload_buffer_bytes(payload: &Payload) -> Option<u64> {
    let all = payload.overrides.all().iter().chain([&payload.bounds]);
    let needed = |bounds: &Bounds| bounds.bytes.map(|bytes| bytes.saturating_add(READ_BYTES));
    all.map(needed)
        .try_fold(READ_BYTES, |most, bytes| Some(most.max(bytes?)))
        .filter(|bytes| *bytes <= BUFFER_BYTES_MAX)
}

/// The same under a policy. A held body without a bound needs no more than the others.
pub(super) fn buffer_bytes(policy: &Policy) -> u64 {
    let held = policy.payloads.iter().filter(|payload| payload.hold);
    held.filter_map(payload_buffer_bytes).fold(READ_BYTES, u64::max)
}

/// The listener with the filter behind `filters`, as the map's lines without indentation.
pub(super) fn listener(listen: &Address, wasm: &Path, filters: &Node, policy: &str, asks: Asks) -> String {
    let before = indented(&block(filters), 12);
    let wasm = quoted(&wasm.display().to_string());
    let policy = single_quoted(policy);
    let decision = if asks.decisions {
        format!("\n                    sluicegate: \"%FILTER_STATE(wasm.{}:PLAIN)%\"", access_log::KEY)
    } else {
        String::new()
    };
    let buffer_bytes = asks.buffer_bytes;
    let hold = if asks.hold {
        "\n                  # A head waits for its body where the policy says `hold`.\n                  allow_on_headers_stop_iteration: true"
    } else {
        ""
    };
    format!(
        r#"name: gateway
address: {listen}
per_connection_buffer_limit_bytes: {buffer_bytes}
filter_chains:
  - filters:
      - name: envoy.filters.network.http_connection_manager
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: gateway
          # The client's own address, and no x-envoy-* header that a client invents.
          use_remote_address: true
          # The upstream gets a path that has one reading; with another, a limit of each would apply.
          normalize_path: true
          merge_slashes: true
          path_with_escaped_slashes_action: UNESCAPE_AND_FORWARD
          # Every stream ends: should a worker lose the filter's state, nothing waits for ever.
          stream_idle_timeout: 300s
          request_timeout: 300s
          request_headers_timeout: 10s
          common_http_protocol_options: {{ idle_timeout: 300s }}
          http2_protocol_options: {{ max_concurrent_streams: 100 }}
          access_log:
            - name: envoy.access_loggers.stdout
              typed_config:
                "@type": type.googleapis.com/envoy.extensions.access_loggers.stream.v3.StdoutAccessLog
                log_format:
                  # Without the query, which may hold a credential.
                  json_format:
                    time: "%START_TIME%"
                    method: "%REQ(:METHOD)%"
                    path: "%PATH(NQ)%"
                    status: "%RESPONSE_CODE%"
                    response_code_details: "%RESPONSE_CODE_DETAILS%"
                    duration_ms: "%DURATION%"
                    request_id: "%REQ(X-REQUEST-ID)%"{decision}
          route_config:
            name: everything
            virtual_hosts:
              - name: everything
                domains: ["*"]
                routes:
                  - match: {{ prefix: "/" }}
                    route: {{ cluster: upstream, timeout: 60s }}
          http_filters:
{before}            - name: envoy.filters.http.wasm
              typed_config:
                "@type": type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm
                config:
                  name: sluicegate
                  # The second line of defence: a VM that fails is made anew.
                  failure_policy: FAIL_RELOAD{hold}
                  vm_config:
                    # The counters belong to this id: another filter must not have it.
                    vm_id: sluicegate
                    runtime: envoy.wasm.runtime.v8
                    code: {{ local: {{ filename: {wasm} }} }}
                  configuration:
                    "@type": type.googleapis.com/google.protobuf.StringValue
                    value: {policy}
            - name: envoy.filters.http.router
              typed_config:
                "@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router
"#
    )
}
