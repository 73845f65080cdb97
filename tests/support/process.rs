//! The driver for processes, which start in a second: an Envoy on loopback.

use crate::harness::{Driver, Place, Signal, free_address, required};
use std::fs::{self, File, OpenOptions};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// One Envoy process.
pub(crate) struct Process {
    envoy: PathBuf,
    place: Place,
    listen: SocketAddr,
    admin: SocketAddr,
    additional: Vec<SocketAddr>,
    child: Option<Child>,
}

impl Process {
    pub(crate) fn make(place: Place) -> Box<dyn Driver> {
        let envoy = required("ENVOY");
        let additional = (0..place.additional).map(|_| free_address()).collect();
        Box::new(Self {
            envoy,
            place,
            listen: free_address(),
            admin: free_address(),
            additional,
            child: None,
        })
    }

    fn kill(&self, signal: &str) {
        let child = self.child.as_ref().expect("a started proxy");
        let sent = Command::new("kill")
            .args(["-s", signal, &child.id().to_string()])
            .status();
        assert!(
            sent.is_ok_and(|status| status.success()),
            "SIG{signal} can be sent"
        );
    }

    fn log_file(&self) -> PathBuf {
        self.place.files.join("envoy.log")
    }

    fn open_log(&self) -> File {
        // Envoy opens its standard output again for the access log, so all writers must append.
        OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.log_file())
            .expect("a log file")
    }
}

impl Driver for Process {
    fn upstream_ip(&self) -> IpAddr {
        IpAddr::V4(Ipv4Addr::LOCALHOST)
    }

    fn files(&self) -> &Path {
        &self.place.files
    }

    fn binds(&self) -> (SocketAddr, SocketAddr) {
        (self.listen, self.admin)
    }

    fn reached_at(&self) -> (SocketAddr, SocketAddr) {
        self.binds()
    }

    fn additional(&self) -> Vec<(SocketAddr, SocketAddr)> {
        self.additional
            .iter()
            .map(|address| (*address, *address))
            .collect()
    }

    fn start(&mut self) {
        let child = Command::new(&self.envoy)
            .arg("-c")
            .arg(self.place.files.join("envoy.yaml"))
            .args(self.place.flags())
            .stdin(Stdio::null())
            .stdout(self.open_log())
            .stderr(self.open_log())
            .spawn()
            .unwrap_or_else(|e| panic!("{}: {e}", self.envoy.display()));
        self.child = Some(child);
    }

    fn signal(&mut self, signal: Signal) {
        match signal {
            Signal::Kill => {
                let child = self.child.as_mut().expect("a started proxy");
                child
                    .kill()
                    .and_then(|()| child.wait().map(drop))
                    .expect("it can be killed");
            }
            Signal::Terminate => self.kill(signal.name()),
        }
    }

    fn pause(&mut self) {
        self.kill("STOP");
        let tasks = format!(
            "/proc/{}/task",
            self.child.as_ref().expect("a started proxy").id()
        );
        let is_stopped = |task: &Path| {
            let stat = fs::read_to_string(task.join("stat")).unwrap_or_default();
            stat.rsplit_once(") ")
                .is_none_or(|(_, state)| state.starts_with('T'))
        };
        let all_stand = || {
            let tasks = fs::read_dir(&tasks).expect("its threads");
            tasks.flatten().all(|task| is_stopped(&task.path()))
        };
        while !all_stand() {
            std::thread::yield_now();
        }
    }

    fn unpause(&mut self) {
        self.kill("CONT");
    }

    fn running(&mut self) -> bool {
        self.child
            .as_mut()
            .is_some_and(|child| child.try_wait().expect("a child to wait for").is_none())
    }

    fn log(&self) -> String {
        let bytes = fs::read(self.log_file()).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    fn memory_bytes(&self) -> u64 {
        let child = self.child.as_ref().expect("a started proxy");
        let status =
            fs::read_to_string(format!("/proc/{}/status", child.id())).expect("its status");
        let resident = status
            .lines()
            .find_map(|line| line.strip_prefix("VmRSS:"))
            .expect("its memory");
        resident
            .trim()
            .trim_end_matches(" kB")
            .parse::<u64>()
            .expect("a number")
            << 10
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}
