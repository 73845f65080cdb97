//! `sluicegate check`: every fault of a policy, or what it comes to.

use std::path::Path;

use super::envoy::BUFFER_BYTES;
use super::{Failure, document, print};
use crate::limit::Rule;
use crate::policy::Policy;
use crate::policy::limits::{CostSource, Limit};
use crate::store::record;
use crate::store::shared::Geometry;

pub(super) fn run(path: &Path) -> Result<String, Failure> {
    match document::read(path)? {
        Ok((_, policy)) => Ok(format!(
            "{}: good: policy {}, {} limits, {} tiers, {} concurrency limits, {} seat limits, {} payload limits, {} credentials in the directory; up to {} live keys in at most {} KB\n{}",
            path.display(),
            policy.name,
            policy.limits.len(),
            policy.tiers.len(),
            policy.pools.len(),
            policy.seats.len(),
            policy.payloads.len(),
            policy.callers.directory.count(),
            policy.keys_max,
            Geometry::new(policy.keys_max).bytes_max(record_bytes_max(&policy)).div_ceil(1_000),
            warnings(&policy),
        )),
        Err(report) => {
            print(&report);
            Err(Failure::Faults)
        }
    }
}

/// What is well written, and may not be what is meant; a line each.
fn warnings(policy: &Policy) -> String {
    let held = policy.payloads.iter().enumerate().filter(|(_, payload)| payload.hold);
    let too_large = held.filter(|(_, payload)| {
        let all = payload.overrides.all().iter().chain([&payload.bounds]);
        all.into_iter().any(|bounds| bounds.bytes.is_none_or(|bytes| bytes > BUFFER_BYTES))
    });
    let lines = too_large.map(|(number, _)| {
        format!(
            "warning: /payloads/{number}: a held body must fit in Envoy's buffer, {BUFFER_BYTES} bytes as `render` writes it: give `bytes`, at most 1MiB, or Envoy answers a larger one with a 413 of its own\n"
        )
    });
    lines.collect()
}

/// The most bytes that one counter of the policy can take.
fn record_bytes_max(policy: &Policy) -> usize {
    let of = |limit: &Limit| {
        let rules = limit.overrides.all().iter().chain([&limit.rule]);
        match limit.cost {
            // A response or a body may take more than there is, so that no rule bounds what is remembered.
            CostSource::ResponseHeader(_) | CostSource::Bytes | CostSource::Lines | CostSource::Items(_) => {
                Some(record::BYTES_MAX)
            }
            CostSource::Fixed(_) | CostSource::Header(_) => rules.map(record::bytes_max).max(),
        }
    };
    let seats = policy.seats.iter().map(|seats| record::bytes_max(&Rule::Seats(seats.seats)));
    policy.limits.iter().filter_map(of).chain(seats).max().unwrap_or_default()
}
