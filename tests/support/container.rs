//! The driver for containers: an Envoy in a network of its own, not as root, with read-only files
//! and possibly a memory limit.

use crate::harness::{Driver, Place, Signal, free_address};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::Command;

/// An unprivileged user who does not own the mounted files.
const USER: &str = "65532:65532";
const FILES: &str = "/etc/sluicegate";
const LISTEN: u16 = 8080;
const ADMIN: u16 = 9901;

/// One Envoy container in one network, both with the same random name.
pub(crate) struct Container {
    name: String,
    place: Place,
    gateway: IpAddr,
    listen: SocketAddr,
    admin: SocketAddr,
    additional: Vec<SocketAddr>,
    created: bool,
}

impl Container {
    pub(crate) fn make(place: Place) -> Box<dyn Driver> {
        // The directory's name is random.
        let name = place
            .files
            .file_name()
            .and_then(|name| name.to_str())
            .expect("a directory's name");
        let name = format!(
            "{}-{}",
            name.to_lowercase().replace('.', ""),
            std::process::id()
        );
        docker(&["network", "create", &name]);
        let gateway = docker(&[
            "network",
            "inspect",
            "--format",
            "{{(index .IPAM.Config 0).Gateway}}",
            &name,
        ]);
        let mut container = Self {
            name,
            additional: (0..place.additional).map(|_| free_address()).collect(),
            place,
            gateway: IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            listen: free_address(),
            admin: free_address(),
            created: false,
        };
        // From here on, a failure removes the network.
        container.gateway = gateway.trim().parse().expect("the network's gateway");
        Box::new(container)
    }

    fn create(&self) {
        let mut arguments: Vec<String> =
            ["create", "--read-only", "--cap-drop", "ALL", "--user", USER]
                .map(str::to_owned)
                .to_vec();
        let mut option = |name: &str, value: String| arguments.extend([name.to_owned(), value]);
        option("--name", self.name.clone());
        option("--network", self.name.clone());
        option("--publish", format!("{}:{LISTEN}", self.listen));
        option("--publish", format!("{}:{ADMIN}", self.admin));
        for (inside, reached) in self.additional() {
            option("--publish", format!("{reached}:{}", inside.port()));
        }
        option(
            "--volume",
            format!("{}:{FILES}:ro", self.place.files.display()),
        );
        if let Some(bytes) = self.place.memory_bytes_max {
            option("--memory", bytes.to_string());
        }
        // Envoy has this path in the official image and in our own.
        option("--entrypoint", "/usr/local/bin/envoy".to_owned());
        arguments.push(image());
        arguments.extend(["-c".to_owned(), format!("{FILES}/envoy.yaml")]);
        arguments.extend(self.place.flags());
        docker(&arguments.iter().map(String::as_str).collect::<Vec<_>>());
    }
}

impl Driver for Container {
    fn upstream_ip(&self) -> IpAddr {
        self.gateway
    }

    fn files(&self) -> &Path {
        Path::new(FILES)
    }

    fn binds(&self) -> (SocketAddr, SocketAddr) {
        let any = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
        (SocketAddr::new(any, LISTEN), SocketAddr::new(any, ADMIN))
    }

    fn reached_at(&self) -> (SocketAddr, SocketAddr) {
        (self.listen, self.admin)
    }

    fn additional(&self) -> Vec<(SocketAddr, SocketAddr)> {
        let any = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
        (LISTEN + 1..)
            .map(|port| SocketAddr::new(any, port))
            .zip(self.additional.iter().copied())
            .collect()
    }

    fn start(&mut self) {
        if !self.created {
            self.create();
            self.created = true;
        }
        docker(&["start", &self.name]);
    }

    fn signal(&mut self, signal: Signal) {
        docker(&["kill", "--signal", signal.name(), &self.name]);
    }

    fn pause(&mut self) {
        docker(&["pause", &self.name]);
    }

    fn unpause(&mut self) {
        docker(&["unpause", &self.name]);
    }

    fn running(&mut self) -> bool {
        docker(&["inspect", "--format", "{{.State.Running}}", &self.name]).trim() == "true"
    }

    fn log(&self) -> String {
        if !self.created {
            return String::new();
        }
        // One pipe for both streams, so that new lines are at the end.
        let both = format!("docker logs {} 2>&1", self.name);
        let output = Command::new("sh")
            .args(["-c", &both])
            .output()
            .expect("docker can be run");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    fn memory_bytes(&self) -> u64 {
        let used = docker(&[
            "stats",
            "--no-stream",
            "--format",
            "{{.MemUsage}}",
            &self.name,
        ]);
        used.split_whitespace()
            .next()
            .and_then(bytes)
            .unwrap_or_else(|| panic!("docker stats: {used}"))
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        let quietly = |arguments: &[&str]| drop(Command::new("docker").args(arguments).output());
        if self.created {
            quietly(&["rm", "--force", "--volumes", &self.name]);
        }
        quietly(&["network", "rm", &self.name]);
    }
}

/// The Envoy image; by default the one that `make envoy-image` builds.
pub(crate) fn image() -> String {
    let image = std::env::var("ENVOY_IMAGE")
        .ok()
        .filter(|image| !image.is_empty());
    image.unwrap_or_else(|| "sluicegate-envoy:1.40.0".to_owned())
}

/// Runs docker and returns its output; fails with its error.
pub(crate) fn docker(arguments: &[&str]) -> String {
    let output = Command::new("docker")
        .args(arguments)
        .output()
        .expect("docker can be run");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "docker {}: {errors}",
        arguments.join(" ")
    );
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Parses docker's sizes: `54.3MiB`.
fn bytes(size: &str) -> Option<u64> {
    let at = size.find(|c: char| c.is_ascii_alphabetic())?;
    let (number, unit) = size.split_at(at);
    let unit: u64 = match unit {
        "B" => 1,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        _ => return None,
    };
    let (whole, part) = number.split_once('.').unwrap_or((number, "0"));
    let hundredths: u64 = format!("{part}00").get(..2)?.parse().ok()?;
    Some((whole.parse::<u64>().ok()? * 100 + hundredths) * unit / 100)
}
