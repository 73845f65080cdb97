//! `make run` and `make reload` in a copy of the repository: an Envoy with open connections.

use crate::checkout::Checkout;
use crate::harness::{Admin, Call, Client, demo_jwt, eventually, free_address, required, run};
use crate::process::Process;
use crate::scenarios::ALPHA;
use std::fs::{self, File};
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

const KEY: &str = "demo-acme-1";
/// The SHA-256 of the first key of alpha.
const ALPHA_DIGEST: &str = "ba54deff28f001a6ec98a370ce0246907286b932bb26495b2355b203de62e685";
/// The SHA-256 of `KEY`.
const DIGEST: &str = "cd5d9af4ac9c9371182890c71242aa2b4e9ab957acd39aeeedae87b051314df8";
const FILTERS: &str = "envoy/filters/session.yaml";

/// A gateway of `make run`, which ends with it.
struct Running {
    checkout: Checkout,
    address: SocketAddr,
    admin: Admin,
    operators: SocketAddr,
    child: Child,
}

impl Running {
    async fn start() -> Self {
        let [address, upstream, admin] = [free_address(), free_address(), free_address()];
        let operators = free_address();
        let checkout = Checkout::new(vec![
            ("LISTEN", address.to_string()),
            ("UPSTREAM", upstream.to_string()),
            ("ADMIN", admin.to_string()),
            ("INSPECT", operators.to_string()),
            ("ENVOY", required("ENVOY").display().to_string()),
        ]);
        // So slow that no unit returns during a test.
        checkout.edit("refill: 60/min", "refill: 1/h");
        let output = File::create(checkout.path("output")).expect("a file");
        let errors = output.try_clone().expect("the same file");
        let child = checkout
            .command("run", &[])
            .stdin(Stdio::null())
            .stdout(output)
            .stderr(errors)
            .spawn()
            .expect("a script that runs");
        let running = Self {
            checkout,
            address,
            admin: Admin::new(admin),
            operators,
            child,
        };
        let what = format!("listens on {address}");
        eventually("the gateway starts", async || {
            let output = running.output();
            let failed = output.lines().any(|line| line.starts_with("run: "));
            assert!(!failed, "{output}");
            output.contains(&what).then_some(())
        })
        .await;
        running
    }

    fn output(&self) -> String {
        fs::read_to_string(self.checkout.path("output")).expect("the output")
    }

    /// What `sluicegate inspect` prints.
    fn inspect(&self, values: &[&str]) -> String {
        let mut command = Command::new(self.checkout.path("target/release/sluicegate"));
        command.args(["inspect", "--at", &self.operators.to_string()]);
        let output = command.args(values).output().expect("a program that runs");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    async fn draining(&self) -> u64 {
        let name = "listener_manager.total_listeners_draining";
        let chains = "listener_manager.total_filter_chains_draining";
        self.admin.stat(name).await + self.admin.stat(chains).await
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It ends its Envoys, and so must not be killed.
        let id = self.child.id().to_string();
        let _ = Command::new("kill").args(["-s", "TERM", &id]).status();
        let _ = self.child.wait();
    }
}

#[test]
fn a_reload_reaches_open_connections_and_closes_none() {
    run(Process::make, async |_| {
        let gateway = Running::start().await;
        let (checkout, call) = (&gateway.checkout, Call::get("/v2/things").bearer(KEY));
        // One connection for all of these.
        let client = Client::http2(gateway.address);
        assert_eq!(client.statuses(&call, 4).await, [200; 4]);
        let opened = gateway.admin.stat("http.gateway.downstream_cx_total").await;

        checkout.edit("burst: 100,", "burst: 0,");
        let complaint = checkout.fails("reload", &[]);
        assert!(
            complaint.contains("/limits/0/bucket/burst") && complaint.contains("nothing"),
            "{complaint}"
        );
        assert_eq!(client.send(call.clone()).await.status, 200);

        checkout.edit("burst: 0,", "burst: 100,");
        checkout.edit(DIGEST, &"ab".repeat(32));
        checkout.succeeds("reload", &[]);
        let answer = client.send(call.clone()).await;
        assert_eq!(answer.status, 401, "a revoked key is refused at once");

        checkout.edit(&"ab".repeat(32), DIGEST);
        checkout.edit("burst: 100,", "burst: 5,");
        checkout.succeeds("reload", &[]);
        let answer = client.send(call.clone()).await;
        assert_eq!(answer.status, 429, "five were taken");
        let unchanged = checkout.succeeds("reload", &[]);
        assert!(unchanged.contains("applied"), "{unchanged}");

        let keys = checkout.path("keys.csv");
        let missing = checkout.fails("reload", &[("DIRECTORY", &*keys.to_string_lossy())]);
        assert!(
            missing.contains("keys.csv is not a readable file"),
            "{missing}"
        );
        fs::write(&keys, format!("sha256,org\n{ALPHA_DIGEST},alpha\n")).expect("a file");
        checkout.succeeds("reload", &[("DIRECTORY", &*keys.to_string_lossy())]);
        let alpha = Call::get("/v2/things").bearer(ALPHA[0]);
        assert_eq!(client.send(alpha).await.status, 200, "a key of the file");
        let shown = gateway.inspect(&["org=alpha"]);
        assert!(shown.contains("left     4 of 5;"), "{shown}");

        let since = gateway.admin.stat("http.gateway.downstream_cx_total").await - opened;
        assert_eq!((gateway.draining().await, since), (0, 0));
    });
}

#[test]
fn a_reload_changes_the_listener_only_if_it_must_and_all_or_nothing() {
    run(Process::make, async |_| {
        let gateway = Running::start().await;
        let (checkout, call) = (&gateway.checkout, Call::get("/v2/things").bearer(KEY));
        let client = Client::http2(gateway.address);
        assert_eq!(client.send(call.clone()).await.status, 200);

        // Only Envoy can tell that the type of a filter is wrong.
        let wrong = r#"[{ "name": "x", "typed_config": { "@type": "type.googleapis.com/x.Y" } }]"#;
        fs::write(checkout.path("wrong.yaml"), wrong).expect("a file");
        let dash0 = ("POLICY", "envoy/presets/dash0.yaml");
        let complaint = checkout.fails("reload", &[dash0, ("FILTERS", "wrong.yaml")]);
        assert!(complaint.contains("Envoy refused"), "{complaint}");
        assert_eq!(client.send(call.clone()).await.status, 200);

        // A policy that `check` accepts and the filter does not.
        let filter = Tampered::new(checkout.path("target/release/sluicegate"));
        let complaint = checkout.fails("reload", &[]);
        assert!(complaint.contains("Envoy refused"), "{complaint}");
        let file = fs::read_to_string(checkout.path("target/run/extension.yaml"));
        assert!(file.expect("a file").contains("\"burst\":100,"));
        assert_eq!(client.send(call.clone()).await.status, 200);
        drop(filter);

        let fleet = [("POLICY", "envoy/presets/enterprise-v2-fleet.yaml")];
        let complaint = checkout.fails("reload", &fleet);
        assert!(complaint.contains("start it anew"), "{complaint}");
        assert_eq!(gateway.draining().await, 0, "nothing was changed");

        checkout.succeeds("reload", &[dash0, ("FILTERS", FILTERS)]);
        let bob = Call::get("/things").bearer(&demo_jwt("bob"));
        eventually("the session is accepted", async || {
            let answer = Client::http1(gateway.address).send(bob.clone()).await;
            (answer.status == 200).then_some(())
        })
        .await;

        // A body that is held needs a larger buffer, which is a part of the listener.
        checkout.succeeds("reload", &[("POLICY", "envoy/presets/datocms.yaml")]);
        let listeners = fs::read_to_string(checkout.path("target/run/listeners.yaml"));
        assert!(listeners.expect("a file").contains("2097152"));
        let call = Call::get("/items").bearer("demo-paid-1");
        eventually("the policy applies", async || {
            let answer = Client::http1(gateway.address).send(call.clone()).await;
            (answer.status == 200).then_some(())
        })
        .await;
    });
}

/// The program in a wrapper that spoils the policies that it renders.
struct Tampered {
    program: PathBuf,
}

impl Tampered {
    fn new(program: PathBuf) -> Self {
        let real = program.with_extension("real");
        fs::rename(&program, &real).expect("a file can be renamed");
        let wrapper = "#!/bin/sh\n\"$0.real\" \"$@\" | sed 's/\"burst\":100,/\"burst\":0,/'\n";
        fs::write(&program, wrapper).expect("a file");
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).expect("permissions");
        Self { program }
    }
}

impl Drop for Tampered {
    fn drop(&mut self) {
        let _ = fs::rename(self.program.with_extension("real"), &self.program);
    }
}
