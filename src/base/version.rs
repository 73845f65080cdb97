//! The version and the commit of this build.

/// The version with its commit: `0.1.0 (0123456789ab)`.
pub const BUILD: &str = concat!(
    env!("CARGO_PKG_VERSION"),
    " (",
    env!("SLUICEGATE_COMMIT"),
    ")"
);

/// The name of the custom section of the filter that contains [`BUILD`].
pub const SECTION: &str = "sluicegate.version";
