//! Usage: how much of its limits each caller uses, in one bounded table of the proxy.
//!
//! ```text
//!   request ─▶ Local, one entry in the worker's VM
//!   each second and worker:  Local ─▶ Table in shared data       (compare-and-swap)
//!   each interval, one VM:   Table: pending ─▶ batch ─▶ collector ─┬▶ accepted: the batch is gone
//!                                                                  └▶ not: the same batch again
//! ```
//!
//! A batch is fixed in the table before it is sent, so whichever VM sends it again sends the same
//! numbers. What is lost if a VM fails is what that worker has not merged. Counters of Envoy need
//! no batch: each worker adds what it counted, for the series that [`Members`] lets in.

mod batch;
pub mod change;
pub mod cloudevents;
mod local;
mod members;
pub mod otlp;
mod protobuf;
mod recent;
mod series;
pub mod stats;
mod table;
pub mod turn;

pub use batch::Batch;
pub use local::{Local, LocalKey, Tally, push_tags};
pub use members::Members;
pub use recent::{Recent, Reckoning};
pub use series::{Series, Status, Tags};
pub use table::{Addition, Bounds, Point, Table};
