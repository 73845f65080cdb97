//! A listener for Prometheus, so that the admin interface can stay on the loopback interface.

use super::Address;
use crate::cli::yaml::indented;

/// The cluster of the admin interface.
pub(in crate::cli) const ADMIN: &str = "admin";

/// The listener, as lines of a map without indentation.
pub(in crate::cli) fn listener(address: &Address) -> String {
    format!(
        include_str!("metrics.yaml.in"),
        address = address,
        cluster = ADMIN
    )
}

/// The cluster of the admin interface, as an item of a bootstrap's list.
pub(in crate::cli) fn cluster(admin: &Address) -> String {
    let cluster = format!(
        include_str!("admin.yaml.in"),
        name = ADMIN,
        address = admin.reached()
    );
    indented(&cluster, 4)
}
