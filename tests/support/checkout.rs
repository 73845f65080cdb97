//! A copy of what the scripts of `make` need, so that they do not touch the repository itself.

use crate::harness::required;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use tempfile::TempDir;

/// The policy of `make run` and `make up`.
pub(crate) const PRESET: &str = "envoy/presets/enterprise-v2.yaml";

/// The part of the repository that the scripts need, with the artefacts of `make build`.
pub(crate) struct Checkout {
    root: TempDir,
    /// Environment variables of all scripts.
    variables: Vec<(&'static str, String)>,
}

impl Checkout {
    pub(crate) fn new(variables: Vec<(&'static str, String)>) -> Self {
        let root = tempfile::Builder::new()
            .prefix("sluicegate-up-")
            .tempdir()
            .expect("a directory");
        // Another user's Envoy reads in this directory.
        fs::set_permissions(root.path(), fs::Permissions::from_mode(0o755)).expect("permissions");
        let repository = Path::new(env!("CARGO_MANIFEST_DIR"));
        for part in ["scripts", "envoy", "rust-toolchain.toml"] {
            copy(&repository.join(part), &root.path().join(part));
        }
        let checkout = Self { root, variables };
        copy(
            &required("SLUICEGATE"),
            &checkout.path("target/release/sluicegate"),
        );
        let wasm = "target/wasm32-wasip1/release/sluicegate.wasm";
        copy(&required("SLUICEGATE_WASM"), &checkout.path(wasm));
        checkout
    }

    pub(crate) fn path(&self, file: &str) -> PathBuf {
        self.root.path().join(file)
    }

    /// A script with more environment variables, which is not started yet.
    pub(crate) fn command(&self, name: &str, variables: &[(&str, &str)]) -> Command {
        let mut command = Command::new(self.path("scripts").join(name));
        command
            .current_dir(self.root.path())
            // The artefacts are built already.
            .env("MAKE", "true")
            .env_remove("POLICY")
            .env_remove("FILTERS")
            .env_remove("DIRECTORY")
            .envs(self.variables.iter().map(|(name, value)| (name, value)))
            .envs(variables.iter().copied());
        command
    }

    fn run(&self, name: &str, variables: &[(&str, &str)]) -> Output {
        let output = self.command(name, variables).output();
        output.expect("a script that runs")
    }

    /// Runs a script that must succeed; returns its standard output.
    pub(crate) fn succeeds(&self, name: &str, variables: &[(&str, &str)]) -> String {
        let output = self.run(name, variables);
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{name}: {text}\n{errors}");
        text
    }

    /// Runs a script that must fail; returns its messages.
    pub(crate) fn fails(&self, name: &str, variables: &[(&str, &str)]) -> String {
        let output = self.run(name, variables);
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success(), "{name} succeeds: {errors}");
        errors
    }

    /// Changes the policy in use.
    pub(crate) fn edit(&self, from: &str, to: &str) {
        let path = self.path(PRESET);
        let text = fs::read_to_string(&path).expect("the preset");
        assert!(text.contains(from), "`{from}` is not in {PRESET}");
        fs::write(&path, text.replacen(from, to, 1)).expect("a file can be written");
    }
}

/// Copies a file, or a directory with its content.
fn copy(from: &Path, to: &Path) {
    if from.is_dir() {
        let entries = fs::read_dir(from).unwrap_or_else(|e| panic!("{}: {e}", from.display()));
        for entry in entries {
            let name = entry.expect("a directory's entry").file_name();
            copy(&from.join(&name), &to.join(&name));
        }
    } else {
        fs::create_dir_all(to.parent().expect("a file's directory")).expect("a directory");
        fs::copy(from, to).unwrap_or_else(|e| panic!("{}: {e}", from.display()));
    }
}
