//! The arguments. Values that may hold a secret are taken as they are, so that no message about the
//! call repeats them.

use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;

use clap::Args;

use super::time;
use crate::base::time::Timestamp;
use crate::cli::directory::DirectoryArgs;

/// Most requests that are counted before the one that is explained.
const REPEAT_MAX: u64 = 1_000_000;

#[derive(Args)]
pub(in crate::cli) struct ExplainArgs {
    /// The policy, YAML or JSON; `-` is the standard input.
    pub(super) policy: PathBuf,
    #[command(flatten)]
    pub(super) directory: DirectoryArgs,
    /// The request's method.
    #[arg(long, short = 'X', default_value = "GET")]
    pub(super) method: String,
    /// The request's path, with its query.
    #[arg(long)]
    pub(super) path: String,
    /// A header of the request; any number of times.
    #[arg(long = "header", short = 'H', value_name = "NAME: VALUE")]
    pub(super) headers: Vec<String>,
    /// The client's address, for `client_address`.
    #[arg(long, value_name = "IP")]
    pub(super) address: Option<IpAddr>,
    /// Dynamic metadata of earlier filters: a JSON object of objects, by the filters' names, as
    /// '{"envoy.filters.http.jwt_authn":{"session":{"sub":"alice"}}}'.
    #[arg(long, value_name = "JSON")]
    pub(super) metadata: Option<String>,
    /// The metadata of the route, for `route_metadata`: a JSON object of objects, by namespaces.
    #[arg(long, value_name = "JSON")]
    pub(super) route_metadata: Option<String>,
    /// The proxy's own metadata, for `node_metadata`: a JSON object.
    #[arg(long, value_name = "JSON")]
    pub(super) node_metadata: Option<String>,
    /// A part of the client's certificate: subject, uri_san, dns_san or sha256; any number of
    /// times.
    #[arg(long, value_name = "PART=VALUE")]
    pub(super) certificate: Vec<String>,
    /// The status of the upstream's response, for `charge: success`.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(200..=599))]
    pub(super) status: Option<u32>,
    /// A header of the upstream's response, for costs that it says, or `grpc-status`; any number of
    /// times.
    #[arg(long = "response-header", value_name = "NAME: VALUE")]
    pub(super) response_headers: Vec<String>,
    /// When the request arrives, as 2026-11-25T10:00:00Z. Without it: now.
    #[arg(long, value_name = "RFC3339", value_parser = time::parse)]
    pub(super) at: Option<Timestamp>,
    /// Explain the last of N such requests at that moment.
    #[arg(long, value_name = "N", default_value_t = 1)]
    #[arg(value_parser = clap::value_parser!(u64).range(1..=REPEAT_MAX))]
    pub(super) repeat: u64,
    /// List all limits that do not apply, however many they are.
    #[arg(long)]
    pub(super) all: bool,
    /// Print JSON, with all limits.
    #[arg(long)]
    pub(super) json: bool,
}

impl fmt::Debug for ExplainArgs {
    /// Without values that may be a secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ExplainArgs")
            .field("policy", &self.policy)
            .finish_non_exhaustive()
    }
}
