//! The end-to-end harness: a real Envoy, a real upstream, real clients.
//!
//! ```text
//! scenario ──▶ TestBed ──▶ Gateway ─┬─ Driver    an Envoy process or an Envoy container
//!                                   ├─ Upstream  receives the forwarded requests, and answers
//!                                   └─ Client    HTTP/1.1, HTTP/2, or raw bytes
//! ```
//!
//! A scenario is an `async fn(&TestBed)`. It does not depend on a driver, so that one list runs on
//! both. Every configuration comes from `sluicegate render`, as a user's would.
//!
//! Time is real here, and the machine may be busy. So a scenario that needs a pending request lets
//! the upstream hold its response ([`Upstream::let_go`]) and waits for a state ([`eventually`]).
//! For promises about time, it compares them with measured times. Tests that must set the clock are
//! unit tests, since Envoy's own timers do not follow the filter's clock.

mod admin;
mod bodies;
mod client;
mod crowd;
mod driver;
mod gateway;
mod policy;
mod ports;
pub(crate) mod render;
mod session;
mod setup;
mod tls;
mod tunnel;
mod upload;
mod upstream;

pub(crate) use admin::Admin;
pub(crate) use bodies::{
    brotli, empty_blocks, gzip, gzip_of_empty_blocks, gzip_of_zeros, zip_of_zeros, zstd,
    zstd_of_blanks,
};
pub(crate) use client::{Answer, Call, Client, now, raw};
pub(crate) use crowd::{Crowd, Load};
pub(crate) use driver::{Driver, Place, Signal};
pub(crate) use gateway::{Gateway, TestBed};
pub(crate) use policy::Policy;
pub(crate) use ports::lease;
pub(crate) use render::{connection_manager, filter_chain, required, route, route_action, routes};
pub(crate) use session::{Issuer, LATE, claims, demo_filters, demo_jwt};
pub(crate) use setup::{Setup, extension};
pub(crate) use tls::Authority;
pub(crate) use tunnel::{Kind, Tunnel};
pub(crate) use upload::{Framing, Pieces, Underway, upload};
pub(crate) use upstream::{Received, Upstream};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::future::Future;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;
use tokio::time::{Instant, sleep, timeout};

/// Longer than anything here takes on a busy machine, so that only a hang reaches it.
pub(crate) const DEADLINE: Duration = Duration::from_secs(120);

/// More files than any scenario has open on either side of the proxy.
const OPEN_FILES: u64 = 16_384;

/// Runs one scenario on its own runtime; a hang fails it.
pub(crate) fn run(make: fn(Place) -> Box<dyn Driver>, scenario: impl AsyncFnOnce(&TestBed)) {
    allow_open_files();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime");
    let bed = TestBed::new(make);
    runtime.block_on(async {
        timeout(DEADLINE * 5, scenario(&bed))
            .await
            .expect("the scenario ends in time");
    });
    // Only connections that no test waits for are left.
    runtime.shutdown_background();
}

/// Raises the number of files that this process and its proxy may have open: many systems begin
/// with 1,024, and two thousand clients have a connection each.
fn allow_open_files() {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit
            .maximum
            .map_or(Some(OPEN_FILES), |most| Some(most.min(OPEN_FILES))),
        ..limit
    };
    if limit.current.is_some_and(|current| current < OPEN_FILES) {
        setrlimit(Resource::Nofile, raised).expect("the soft limit can be raised to the hard one");
    }
}

/// Waits until `probe` returns a value; fails with `condition` after [`DEADLINE`].
pub(crate) async fn eventually<T, F>(condition: &str, mut probe: impl FnMut() -> F) -> T
where
    F: Future<Output = Option<T>>,
{
    let begun = Instant::now();
    loop {
        if let Some(value) = probe().await {
            return value;
        }
        assert!(
            begun.elapsed() < DEADLINE,
            "{condition}: not within {DEADLINE:?}"
        );
        sleep(Duration::from_millis(20)).await;
    }
}

/// A loopback address with a port that no other process gets while this one lives.
pub(crate) fn free_address() -> SocketAddr {
    let ip = IpAddr::V4(Ipv4Addr::LOCALHOST);
    SocketAddr::new(ip, ports::lease(ip))
}
