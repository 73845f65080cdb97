//! The words that every other module uses; it depends on none of them.

pub mod path;
pub mod pointer;
pub mod time;
pub mod units;
pub mod zone;
