//! `sluicegate check`: validates a policy, and prints every error, or a summary.

mod answers;
mod asked;
mod expired;
mod shared;
mod unmet;
mod values;
mod warnings;
mod written;

use std::fmt::Write as _;
use std::path::Path;

use super::directory::DirectoryArgs;
use super::document::ReadPolicy;
use super::envoy::{buffer_bytes, payload_buffer_bytes};
use super::explain::time;
use super::{Failure, document, print};
use crate::base::number::counted;
use crate::limit::Rule;
use crate::policy::Policy;
use crate::policy::document::Node;
use crate::policy::limits::Limit;
use crate::policy::route::Route;
use crate::policy::seats::SeatLimit;
use crate::policy::usage::{Protocol, Target};
use crate::store::record;
use crate::store::shared::Geometry;
use warnings::Warning;

pub(super) fn run(path: &Path, directory: &DirectoryArgs) -> Result<String, Failure> {
    let ReadPolicy {
        document,
        policy,
        sources,
    } = match document::read(path, directory)? {
        Ok(read) => read,
        Err(report) => {
            print(&report);
            return Err(Failure::Invalid);
        }
    };
    let name = path.display();
    let mut text = format!("{name}: ok: {}\n", summary(&policy));
    for needs in needs(&policy) {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{name}: note: {needs}");
    }
    let warnings = warnings(&document, &policy);
    for warning in warnings.iter().take(WARNINGS_SHOWN) {
        // Writing to a string cannot fail.
        let _ = writeln!(
            text,
            "{}: warning: {warning}",
            sources.position(warning.line)
        );
    }
    if let Some(more) = warnings
        .len()
        .checked_sub(WARNINGS_SHOWN)
        .filter(|more| *more > 0)
    {
        let _ = writeln!(text, "{name}: warning: and {more} more");
    }
    Ok(text)
}

/// The most warnings that are printed.
const WARNINGS_SHOWN: usize = 100;

/// The summary of a policy.
fn summary(policy: &Policy) -> String {
    let parts = [
        (policy.limits.len(), "limit"),
        (policy.tiers.len(), "tier"),
        (policy.pools.len(), "concurrency limit"),
        (policy.seats.len(), "seat limit"),
        (policy.payloads.len(), "payload limit"),
        (policy.callers.directory.count(), "credential"),
    ];
    let keys = usize::try_from(policy.keys_max).unwrap_or(usize::MAX);
    format!(
        "policy {}, {} in the directory; up to {} in at most {} KB; \
         revision {}",
        policy.name,
        parts.map(|(count, one)| counted(count, one)).join(", "),
        counted(keys, "live key"),
        Geometry::new(policy.keys_max)
            .bytes_max(record_bytes_max(policy))
            .div_ceil(1_000),
        policy.revision,
    )
}

/// Warnings about valid parts that may not mean what the author intended, in the order of the
/// lines.
fn warnings(document: &Node, policy: &Policy) -> Vec<Warning> {
    let mut all = warnings::callers(document, policy);
    all.extend(held_bodies(document, policy));
    all.extend(unmet::unmet(document));
    all.extend(written::written(document, policy));
    all.extend(answers::answers(document, policy));
    all.extend(endpoint(document, policy));
    all.extend(shared::shared(document, policy));
    all.extend(expired::expired(document, time::now()));
    all.sort_by_key(|warning| warning.line);
    all
}

/// Of payload limits that hold more than Envoy's buffer takes.
fn held_bodies(document: &Node, policy: &Policy) -> Vec<Warning> {
    let mut warnings = Vec::new();
    for (number, payload) in policy.payloads.iter().enumerate() {
        if payload.hold && payload_buffer_bytes(payload).is_none() {
            warnings.push(Warning::at(
                document,
                &format!("/payloads/{number}"),
                "a held body must fit in Envoy's buffer: give `bytes`, at most 4GB, or Envoy \
                 answers a larger one with a 413 of its own"
                    .to_owned(),
            ));
        }
    }
    warnings
}

/// Of an endpoint on whose path callers are not identified.
fn endpoint(document: &Node, policy: &Policy) -> Option<Warning> {
    let endpoint = policy.replies.endpoint.as_ref()?;
    let path = policy.routes.route(endpoint.route())?;
    let get = Route::parse(&format!("GET {path}")).ok()?;
    let mut within = policy.callers.routes.as_ref()?.iter();
    let is_within = within.any(|id| {
        let route = policy.routes.route(*id);
        route.is_some_and(|route| route.covers(&get))
    });
    (!is_within).then(|| {
        let text = "no caller is identified on this path, so that the endpoint shows only the \
                    numbers of callers without a credential: add it to `callers.for`";
        Warning::at(document, "/replies/endpoint/path", text.to_owned())
    })
}

/// The needs of a policy that Envoy's default configuration does not meet.
fn needs(policy: &Policy) -> Vec<String> {
    let hold = policy.payloads.iter().any(|payload| payload.hold);
    let hold = hold.then(|| {
        format!(
            "`hold` needs allow_on_headers_stop_iteration: true in the plugin's configuration and \
             per_connection_buffer_limit_bytes: {} or more in the listener's, as `render` writes \
             them",
            buffer_bytes(policy)
        )
    });
    let is_shared = policy.limits.iter().any(|limit| limit.shared.is_some());
    let engine = policy.engine.as_ref().filter(|_| is_shared);
    let engine = engine.map(|engine| {
        format!(
            "`scope: global` needs the cluster {} with a Redis or a Valkey, as `render envoy \
             --engine` writes it",
            engine.cluster
        )
    });
    let usage = policy.usage.as_ref().map(|usage| needs_of_usage(&usage.to));
    [hold, engine, usage].into_iter().flatten().collect()
}

fn needs_of_usage(to: &Target) -> String {
    match to {
        Target::Otlp { cluster, protocol } => {
            let protocol = match protocol {
                Protocol::Http => "HTTP",
                Protocol::Grpc => "gRPC",
            };
            format!(
                "`usage` needs the cluster {cluster} with a collector that takes OTLP over \
                 {protocol}, as `render envoy --otlp` writes it"
            )
        }
        Target::CloudEvents { cluster } => {
            format!("`usage` needs the cluster {cluster} with a receiver of CloudEvents")
        }
        Target::Stats => "`usage` needs the rules of stats_tags for its labels, as `render envoy` \
                          writes them"
            .to_owned(),
    }
}

/// The most bytes that one counter of the limit can take.
fn limit_bytes_max(limit: &Limit) -> Option<usize> {
    if limit.shared.is_some() {
        return Some(record::LEASE_BYTES_MAX);
    }
    if limit.costs.are_settled() {
        // A response or a body may take more than there is, so no rule bounds the size of the
        // record.
        return Some(record::BYTES_MAX);
    }
    limit.rules().map(|rule| record::bytes_max(&rule)).max()
}

/// The most bytes that one counter of the policy can take.
fn record_bytes_max(policy: &Policy) -> usize {
    let seats = policy
        .seats
        .iter()
        .flat_map(SeatLimit::rules)
        .map(|seats| record::bytes_max(&Rule::Seats(seats)));
    policy
        .limits
        .iter()
        .filter_map(limit_bytes_max)
        .chain(seats)
        .max()
        .unwrap_or_default()
}
