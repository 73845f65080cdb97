//! The words that every other module uses; it depends on none of them.

pub(crate) mod date;
pub mod id;
pub mod invariant;
pub mod network;
pub mod number;
pub mod path;
pub mod pointer;
pub mod property;
pub mod rfc3339;
pub mod rough;
pub mod time;
pub mod units;
pub mod varint;
pub mod version;
pub mod zone;

/// The version of this build; [`version::BUILD`] has its commit, too.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");
