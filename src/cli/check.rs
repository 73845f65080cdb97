//! `sluicegate check`: every fault of a policy, or what it comes to.

use std::path::Path;

use super::{Failure, document, print};
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
            Geometry::new(policy.keys_max).bytes_max().div_ceil(1_000),
        )),
        Err(report) => {
            print(&report);
            Err(Failure::Faults)
        }
    }
}
