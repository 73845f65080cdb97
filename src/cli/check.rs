//! `sluicegate check`: every fault of a policy, or what it comes to.

use std::path::Path;

use super::{Failure, document, print};
use crate::policy::Policy;
use crate::policy::limits::{CostSource, Limit};
use crate::store::record;
use crate::store::shared::Geometry;

pub(super) fn run(path: &Path) -> Result<String, Failure> {
    match document::read(path)? {
        Ok((_, policy)) => Ok(format!(
            "{}: good: policy {}, {} limits, {} tiers, {} credentials in the directory; up to {} live keys in at most {} KB\n",
            path.display(),
            policy.name,
            policy.limits.len(),
            policy.tiers.len(),
            policy.callers.directory.count(),
            policy.keys_max,
            Geometry::new(policy.keys_max).bytes_max(record_bytes_max(&policy)).div_ceil(1_000),
        )),
        Err(report) => {
            print(&report);
            Err(Failure::Faults)
        }
    }
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
    policy.limits.iter().filter_map(of).max().unwrap_or_default()
}
