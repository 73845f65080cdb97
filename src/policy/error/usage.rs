//! The rules of the export of usage.

use std::fmt;

use super::words::Quoted;
use crate::policy::usage::{METRIC_BYTES_MAX, TAG_BYTES_MAX};

/// A rule that `usage` breaks; `Display` states it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UsageRule {
    /// Not the name of a metric.
    Metric(String),
    /// The name of a metric is that of another one's ratio.
    Ratio(String),
    /// Not the name of a tag.
    Tag(String),
    /// The name of a tag that each series has.
    OwnTag(String),
}

impl fmt::Display for UsageRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Metric(name) => write!(
                f,
                "{} is not the name of a metric: at most {METRIC_BYTES_MAX} of a-z, A-Z, 0-9 and \
                 _./-, beginning with a letter",
                Quoted(name)
            ),
            Self::Ratio(name) => write!(
                f,
                "{} is also the name of another metric's ratio: choose another",
                Quoted(name)
            ),
            Self::Tag(name) => write!(
                f,
                "{} is not the name of a tag: at most {TAG_BYTES_MAX} of a-z, A-Z, 0-9 and _.-, \
                 beginning with a letter or _",
                Quoted(name)
            ),
            Self::OwnTag(name) => write!(
                f,
                "each series has {} anyway: choose another name",
                Quoted(name)
            ),
        }
    }
}
