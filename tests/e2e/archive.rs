//! A release archive, and what the README does with it, word for word.

use crate::harness::{free_address, required};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use tempfile::TempDir;

/// The ports in the README's commands, which may be in use here: of the gateway, of the demo
/// upstream, of the admin endpoint.
const PORTS: [&str; 3] = ["8080", "8081", "9901"];

/// Files that an archive must have.
const FILES: [&str; 14] = [
    "CHANGELOG.md",
    "LICENSE",
    "README.md",
    "compose.yaml",
    "docs/operations.md",
    "docs/policy.schema.json",
    "envoy/demo-upstream.yaml",
    "envoy/filters/session.yaml",
    "envoy/presets/enterprise-v2.yaml",
    "share/completions/sluicegate.bash",
    "share/completions/sluicegate.zsh",
    "share/completions/sluicegate.fish",
    "share/sluicegate.1",
    "sluicegate.wasm",
];

/// An archive in a directory of its own.
struct Unpacked {
    directory: TempDir,
    archive: PathBuf,
}

impl Unpacked {
    /// `SLUICEGATE_ARCHIVE`, or one of what was built for the tests.
    fn make() -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let archive = match std::env::var_os("SLUICEGATE_ARCHIVE") {
            Some(archive) => PathBuf::from(archive),
            None => pack(directory.path()),
        };
        let name = archive.file_name().expect("a name");
        let own = directory.path().join(name);
        if archive != own {
            fs::copy(&archive, &own).expect("an archive");
        }
        Self {
            directory,
            archive: own,
        }
    }

    /// Puts an `envoy` in `PATH` whose demo upstream has another port.
    fn install_envoy(&self, upstream: &str) {
        let bin = self.directory.path().join("bin");
        fs::create_dir(&bin).expect("a directory");
        let envoy = required("ENVOY");
        let arguments = format!("\"${{@//port_value: 8081/port_value: {upstream}}}\"");
        let wrapper = format!("#!/bin/bash\nexec '{}' {arguments}\n", envoy.display());
        let file = bin.join("envoy");
        fs::write(&file, wrapper).expect("a script");
        fs::set_permissions(file, fs::Permissions::from_mode(0o755)).expect("permissions");
    }

    fn run(&self, script: &str) -> Output {
        let path = std::env::var("PATH").expect("PATH");
        let bin = self.directory.path().join("bin");
        Command::new("bash")
            .args(["-euo", "pipefail", "-c", script])
            .current_dir(self.directory.path())
            .env("PATH", format!("{}:{path}", bin.display()))
            .output()
            .expect("bash")
    }
}

fn pack(directory: &Path) -> PathBuf {
    let output = Command::new("scripts/archive")
        .arg(std::env::consts::ARCH)
        .arg(required("SLUICEGATE"))
        .arg(required("SLUICEGATE_WASM"))
        .arg(directory)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("scripts/archive");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "archive: {errors}");
    PathBuf::from(String::from_utf8(output.stdout).expect("a path").trim())
}

/// The commands of the README below this heading.
fn commands(heading: &str) -> String {
    let readme = include_str!("../../README.md");
    let section = readme.split_once(heading).expect("the heading").1;
    let section = section.split("\n## ").next().unwrap_or_default();
    let blocks = section.split("```sh\n").skip(1);
    let blocks: Vec<&str> = blocks.filter_map(|rest| rest.split("```").next()).collect();
    assert!(!blocks.is_empty(), "no commands below {heading}");
    blocks.concat()
}

#[test]
fn the_readme_limits_with_the_archive_and_envoy_alone() {
    let unpacked = Unpacked::make();
    let mut script = commands("\n## Without Rust\n");
    let ports = PORTS.map(|port| (port, free_address().port().to_string()));
    unpacked.install_envoy(&ports[1].1);
    for (port, free) in &ports {
        assert!(script.contains(port), "{port} is not in\n{script}");
        script = script.replace(port, free);
    }
    let output = unpacked.run(&format!("{script}\nkill $!\n"));
    let printed = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{printed}\n{errors}");
    let count = |status: &str| {
        let line = printed.lines().find(|line| line.ends_with(status));
        let number = line.and_then(|line| line.trim().split(' ').next());
        number.and_then(|number| number.parse::<u64>().ok())
    };
    let (admitted, refused) = (count(" 200"), count(" 429"));
    assert_eq!(
        admitted.zip(refused).map(|(a, b)| a + b),
        Some(150),
        "{printed}"
    );
    assert!(admitted >= Some(100), "{printed}");
}

#[test]
fn an_archive_has_all_files_and_the_same_bytes_each_time() {
    let unpacked = Unpacked::make();
    let listed = unpacked.run("tar tzf ./*.tar.gz");
    let listed = String::from_utf8(listed.stdout).expect("text");
    let root = format!("sluicegate-{}-", env!("CARGO_PKG_VERSION"));
    for line in listed.lines() {
        assert!(line.starts_with(&root), "{line}");
    }
    for file in FILES {
        let ending = format!("/{file}");
        assert!(
            listed.lines().any(|line| line.ends_with(&ending)),
            "{file} is not in\n{listed}"
        );
    }
    if std::env::var_os("SLUICEGATE_ARCHIVE").is_none() {
        let again = tempfile::tempdir().expect("a directory");
        let (first, second) = (fs::read(&unpacked.archive), fs::read(pack(again.path())));
        assert!(
            first.expect("bytes") == second.expect("bytes"),
            "two runs differ"
        );
    }
}
