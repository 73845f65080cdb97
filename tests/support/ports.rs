//! Ports that no other test on this machine uses.
//!
//! A port that the kernel chooses for a listener is free again once that is closed, and the kernel
//! may give it to another process before the proxy has bound it, which takes a second on a busy
//! machine. This happened in two concurrent runs of the tests: one probed whether its proxy was
//! ready, the other's proxy answered the probe, and counted one request more than its test had
//! sent. So a port comes from below the kernel's range, and belongs to the process that has locked
//! the file for its number.

use std::fs::{self, File};
use std::hash::{BuildHasher, RandomState};
use std::net::{IpAddr, TcpListener};
use std::path::Path;
use std::sync::{Mutex, PoisonError};

/// Below the kernel's default range.
const PORTS: std::ops::Range<u16> = 15_000..30_000;

/// A free port of this address, reserved for this process until it ends.
pub(crate) fn lease(ip: IpAddr) -> u16 {
    static LEASES: Mutex<Vec<File>> = Mutex::new(Vec::new());
    let directory = std::env::temp_dir().join("sluicegate-ports");
    fs::create_dir_all(&directory).expect("a directory for leases");
    let first = RandomState::new().hash_one(()) as u16 % PORTS.len() as u16;
    for offset in 0..PORTS.len() as u16 {
        let port = PORTS.start + (first + offset) % PORTS.len() as u16;
        let Some(lease) = lock(&directory, port) else {
            continue;
        };
        LEASES
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(lease);
        if TcpListener::bind((ip, port)).is_ok() {
            return port;
        }
    }
    panic!("no port is free");
}

/// The lock of a port; `None` if another process has it.
fn lock(directory: &Path, port: u16) -> Option<File> {
    let file = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(directory.join(port.to_string()))
        .ok()?;
    file.try_lock().ok()?;
    Some(file)
}

#[test]
fn a_port_is_leased_once() {
    let ip = IpAddr::from([127, 0, 0, 1]);
    let ports = [lease(ip), lease(ip)];
    assert_ne!(ports[0], ports[1]);
    let directory = std::env::temp_dir().join("sluicegate-ports");
    assert!(
        ports.iter().all(|port| lock(&directory, *port).is_none()),
        "another process gets neither"
    );
}
