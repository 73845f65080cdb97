//! The cluster of the engine of limits that all proxies share.

use std::net::IpAddr;
use std::path::{Path, PathBuf};

use clap::Args;

use super::Address;
use crate::cli::Failure;
use crate::cli::yaml::quoted;
use crate::policy::Policy;
use crate::policy::engine::Engine;

#[derive(Debug, Args)]
pub(in crate::cli) struct EngineArgs {
    /// The Redis or Valkey of the policy's limits with `scope: global`: HOST:PORT of the primary.
    /// Nothing is added if the policy has no such limit.
    #[arg(long, value_parser = Address::parse)]
    engine: Option<Address>,
    /// Use TLS to it, and trust the certificates that these sign: the path of a PEM file on the
    /// machine, or in the container, that runs Envoy.
    #[arg(long, value_name = "CA", requires = "engine")]
    engine_tls: Option<PathBuf>,
}

impl EngineArgs {
    /// The cluster of the policy's engine, as lines of a map; `None` if the policy has no engine.
    pub(in crate::cli) fn cluster(&self, policy: &Policy) -> Result<Option<String>, Failure> {
        let Some(engine) = &policy.engine else {
            return Ok(None);
        };
        match &self.engine {
            Some(address) => Ok(Some(cluster(engine, address, self.engine_tls.as_deref()))),
            None => Err(Failure::Usage(
                "the policy has a limit with `scope: global`, which needs a Redis or Valkey: add \
                 --engine HOST:PORT"
                    .to_owned(),
            )),
        }
    }
}

/// The check of an engine without a password, which asks Redis itself.
const REDIS_CHECK: &str = include_str!("engine_check.yaml.in");

/// With a password that check would fail, since it does not log in.
const TCP_CHECK: &str = "    tcp_health_check: {}\n";

fn cluster(engine: &Engine, address: &Address, ca: Option<&Path>) -> String {
    let millis = engine.timeout.nanos() / 1_000_000;
    format!(
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
    )
}

/// TLS to a host with a certificate for its name or address.
fn tls(host: &str, ca: &Path) -> String {
    let (kind, sni) = match host.parse::<IpAddr>() {
        Ok(_) => ("IP_ADDRESS", String::new()),
        Err(_) => ("DNS", format!("\n    sni: {}", quoted(host))),
    };
    format!(
        include_str!("engine_tls.yaml.in"),
        sni = sni,
        ca = quoted(&ca.display().to_string()),
        kind = kind,
        host = quoted(host),
    )
}
