//! The requests to a preset, and its policy.

use std::fs;
use std::path::PathBuf;

use crate::envoy::Paths;

#[path = "../shared/traffic.rs"]
#[allow(dead_code, reason = "the native benchmarks use the rest")]
mod shared;

pub(crate) use shared::{CALLERS, TRAFFIC, Traffic, numbered, sha256};

/// The limit that the first preset of [`TRAFFIC`] applies, as its text has it.
const STANDARD: &str = "bucket: { burst: 100, refill: 60/min }";

impl Traffic {
    /// The path and the header lines of a caller's request.
    pub(crate) fn request(&self, number: usize) -> (String, String) {
        (
            self.path.to_owned(),
            numbered(self.headers, number % CALLERS),
        )
    }

    /// The preset with a directory of a thousand callers.
    pub(crate) fn policy(&self, paths: &Paths) -> PathBuf {
        let file = paths.scratch.path().join(format!("{}.yaml", self.preset));
        fs::write(&file, self.text()).unwrap();
        file
    }

    /// The same with another name, and with `more` keys.
    pub(crate) fn policy_and(&self, paths: &Paths, name: &str, more: &str) -> PathBuf {
        let old = format!("name: {}\n", self.preset);
        let text = self.text().replace(&old, &format!("name: {name}\n"));
        let file = paths.scratch.path().join(format!("{name}.yaml"));
        fs::write(&file, format!("{text}\n{more}")).unwrap();
        file
    }

    /// The same with another name, and another bucket in its `standard` limit.
    pub(crate) fn policy_with(&self, paths: &Paths, name: &str, bucket: &str) -> PathBuf {
        let text = self.text();
        assert_eq!(
            text.matches(STANDARD).count(),
            1,
            "{} has no such limit",
            self.preset
        );
        let text = text.replace(STANDARD, bucket).replace(
            &format!("name: {}\n", self.preset),
            &format!("name: {name}\n"),
        );
        let file = paths.scratch.path().join(format!("{name}.yaml"));
        fs::write(&file, text).unwrap();
        file
    }
}
