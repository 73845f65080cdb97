//! The cluster of the engine of limits that all proxies share.

use std::net::IpAddr;
use std::path::Path;

use super::Address;
use crate::cli::yaml::{indented, quoted};
use crate::policy::engine::Engine;

/// The check of an engine without a password, which asks Redis itself.
const REDIS_CHECK: &str = include_str!("engine_check.yaml.in");

/// With a password that check would fail, since it does not log in.
const TCP_CHECK: &str = "      tcp_health_check: {}\n";

/// The cluster, as an item of a bootstrap's list.
pub(in crate::cli) fn cluster(engine: &Engine, address: &Address, ca: Option<&Path>) -> String {
    let millis = engine.timeout.nanos() / 1_000_000;
    let cluster = format!(
        include_str!("engine.yaml.in"),
        name = quoted(&engine.cluster),
        timeout = format_args!("{}.{:03}", millis / 1_000, millis % 1_000),
        address = address,
        check = if engine.password.is_some() {
            TCP_CHECK
        } else {
            REDIS_CHECK
        },
        tls = ca.map_or_else(String::new, |ca| tls(address.host(), ca)),
    );
    indented(&cluster, 4)
}

/// TLS to a host with a certificate for its name or address.
fn tls(host: &str, ca: &Path) -> String {
    let (kind, sni) = match host.parse::<IpAddr>() {
        Ok(_) => ("IP_ADDRESS", String::new()),
        Err(_) => ("DNS", format!("\n      sni: {}", quoted(host))),
    };
    format!(
        include_str!("engine_tls.yaml.in"),
        sni = sni,
        ca = quoted(&ca.display().to_string()),
        kind = kind,
        host = quoted(host),
    )
}
