//! `make up`, `make reload` and `make down`, in a copy of the repository with its own name and
//! port, so that containers started from the repository itself are not touched.

use crate::container::{Container, docker, image};
use crate::harness::{Call, Client, demo_jwt, eventually, free_address, required, run};
use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output};
use std::time::Duration;
use tempfile::TempDir;
use tokio::task::JoinSet;
use tokio::time::sleep;

const KEY: &str = "demo-acme-1";
const PRESET: &str = "envoy/presets/enterprise-v2.yaml";
const FLEET: &str = "envoy/presets/enterprise-v2-fleet.yaml";
const FILTERS: &str = "envoy/filters/session.yaml";

async fn an_edit_applies_if_it_is_valid(checkout: &Checkout, client: &Client, call: &Call) {
    checkout.edit("burst: 100,", "burst: 0,");
    let refused = checkout.script("reload");
    let complaint = String::from_utf8_lossy(&refused.stderr);
    assert!(
        !refused.status.success() && complaint.contains("/limits/0/bucket/burst"),
        "{complaint}"
    );
    assert_eq!(
        client.send(call.clone()).await.status,
        200,
        "the old policy still applies"
    );

    checkout.edit("burst: 0,", "burst: 1,");
    let applied = checkout.script("reload");
    assert!(
        applied.status.success(),
        "reload: {}",
        String::from_utf8_lossy(&applied.stderr)
    );
    // The two admitted requests still count, so the bucket of one unit is empty.
    eventually("the new policy applies", async || {
        (Client::http1(checkout.address)
            .send(call.clone())
            .await
            .status
            == 429)
            .then_some(())
    })
    .await;
}

/// Only a filter that verifies sessions can identify the owner of a JWT.
async fn another_policy_and_its_filters_apply(checkout: &Checkout) {
    let session = [("POLICY", "envoy/presets/dash0.yaml"), ("FILTERS", FILTERS)];
    let applied = checkout.script_with("reload", &session);
    assert!(
        applied.status.success(),
        "reload: {}",
        String::from_utf8_lossy(&applied.stderr)
    );
    let bob = Call::get("/things").bearer(&demo_jwt("bob"));
    eventually("the session is accepted", async || {
        (Client::http1(checkout.address)
            .send(bob.clone())
            .await
            .status
            == 200)
            .then_some(())
    })
    .await;
    let none = checkout.script_with("reload", &[("FILTERS", "nowhere.yaml")]);
    let complaint = String::from_utf8_lossy(&none.stderr);
    assert!(
        !none.status.success() && complaint.contains("FILTERS=nowhere.yaml"),
        "{complaint}"
    );
}

#[test]
fn up_serves_reload_applies_and_down_leaves_nothing() {
    if is_left_out() {
        return;
    }
    run(Container::make, async |_| {
        let checkout = Checkout::new();
        let up = checkout.script("up");
        let output = String::from_utf8_lossy(&up.stdout);
        assert!(
            up.status.success(),
            "up: {output}\n{}",
            String::from_utf8_lossy(&up.stderr)
        );
        assert!(
            output.contains(&format!("listens on {}", checkout.address)),
            "{output}"
        );
        assert_eq!(
            output
                .lines()
                .filter(|line| line.starts_with("   curl "))
                .count(),
            3,
            "the commands to try: {output}"
        );

        let client = Client::http1(checkout.address);
        let call = Call::get("/v2/things").bearer(KEY);
        let answer = client.send(call.clone()).await;
        assert_eq!(
            (answer.status, answer.header("x-demo-upstream")),
            (200, Some("1"))
        );
        assert_eq!(client.send(Call::get("/v2/things")).await.status, 401);
        assert_eq!(
            client.send(Call::get("/v2/fail").bearer(KEY)).await.status,
            503
        );

        an_edit_applies_if_it_is_valid(&checkout, &client, &call).await;
        another_policy_and_its_filters_apply(&checkout).await;

        let down = checkout.script("down");
        assert!(
            down.status.success(),
            "down: {}",
            String::from_utf8_lossy(&down.stderr)
        );
        assert_eq!(checkout.left(), "");
        assert!(client.try_send(call).await.is_err(), "the port is closed");
    });
}

#[test]
fn an_upstream_that_is_paused_keeps_its_slots_until_it_comes_back() {
    if is_left_out() {
        return;
    }
    run(Container::make, async |_| {
        let checkout = Checkout::new();
        let up = checkout.script_with("up", &[("POLICY", "envoy/presets/dynatrace.yaml")]);
        assert!(
            up.status.success(),
            "up: {}",
            String::from_utf8_lossy(&up.stderr)
        );
        let call = Call::get("/api/v2/entities").header("authorization", "Api-Token demo-prod-1");
        assert_eq!(
            Client::http1(checkout.address)
                .send(call.clone())
                .await
                .status,
            200
        );
        let upstream = checkout.container("upstream");
        docker(&["pause", &upstream]);
        let mut all = JoinSet::new();
        for _ in 0..160 {
            let (client, call) = (Client::http1(checkout.address), call.clone());
            all.spawn(async move { client.send(call).await.status });
        }
        sleep(Duration::from_secs(2)).await;
        assert_eq!(
            Client::http1(checkout.address)
                .send(call.clone())
                .await
                .status,
            429,
            "slots and queue are full"
        );
        docker(&["unpause", &upstream]);
        let statuses = all.join_all().await;
        assert!(
            statuses.iter().all(|status| *status == 200),
            "every request gets a slot: {statuses:?}"
        );
        assert_eq!(Client::http1(checkout.address).send(call).await.status, 200);
        let down = checkout.script("down");
        assert!(
            down.status.success(),
            "down: {}",
            String::from_utf8_lossy(&down.stderr)
        );
    });
}

#[test]
fn two_gateways_share_the_counters_of_their_engine() {
    if is_left_out() {
        return;
    }
    run(Container::make, async |_| {
        let checkout = Checkout::new();
        let up = checkout.script_with("up", &[("POLICY", FLEET)]);
        let output = String::from_utf8_lossy(&up.stdout);
        assert!(
            up.status.success() && output.contains(&checkout.second.to_string()),
            "up: {output}\n{}",
            String::from_utf8_lossy(&up.stderr)
        );
        let call = Call::get("/v2/things").bearer(KEY);
        let gateways = [checkout.address, checkout.second].map(Client::http1);
        // Alone it would admit half of them.
        for _ in 0..90 {
            assert_eq!(gateways[0].send(call.clone()).await.status, 200);
        }
        let mut admitted = 0;
        for _ in 0..40 {
            let answer = gateways[1].send(call.clone()).await;
            assert!([200, 429].contains(&answer.status), "{}", answer.status);
            admitted += u32::from(answer.status == 200);
        }
        // One unit returns each second.
        assert!(
            (1..=25).contains(&admitted),
            "{admitted} of 10, less what the first holds"
        );

        assert_eq!(checkout.counters(), ":1");
        // AOF writes every second.
        sleep(Duration::from_millis(1_500)).await;
        docker(&["restart", &checkout.container("engine")]);
        eventually("the counter is still there", async || {
            (checkout.counters() == ":1").then_some(())
        })
        .await;

        // Without such a limit there is one gateway again.
        let plain = checkout.script("up");
        assert!(
            plain.status.success(),
            "{}",
            String::from_utf8_lossy(&plain.stderr)
        );
        assert_eq!(
            checkout.container("gateway2") + &checkout.container("engine"),
            ""
        );
        let reload = checkout.script_with("reload", &[("POLICY", FLEET)]);
        let complaint = String::from_utf8_lossy(&reload.stderr);
        assert!(
            !reload.status.success() && complaint.contains("scope: global"),
            "{complaint}"
        );
        let down = checkout.script("down");
        assert!(
            down.status.success(),
            "{}",
            String::from_utf8_lossy(&down.stderr)
        );
        assert_eq!(checkout.left(), "", "no container, network or volume");
    });
}

/// The part of the repository that the scripts need, with the artefacts of `make build`.
struct Checkout {
    root: TempDir,
    project: String,
    address: SocketAddr,
    /// Of the second gateway.
    second: SocketAddr,
}

impl Checkout {
    fn new() -> Self {
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
        copy(
            &required("SLUICEGATE"),
            &root.path().join("target/release/sluicegate"),
        );
        let wasm = root
            .path()
            .join("target/wasm32-wasip1/release/sluicegate.wasm");
        copy(&required("SLUICEGATE_WASM"), &wasm);
        let address = free_address();
        Self {
            root,
            project: format!("sluicegate-{}-{}", std::process::id(), address.port()),
            address,
            second: free_address(),
        }
    }

    fn script(&self, name: &str) -> Output {
        self.script_with(name, &[])
    }

    /// The script with more environment variables.
    fn script_with(&self, name: &str, variables: &[(&str, &str)]) -> Output {
        Command::new(self.root.path().join("scripts").join(name))
            .current_dir(self.root.path())
            // The artefacts are built already.
            .env("MAKE", "true")
            .env("COMPOSE_PROJECT_NAME", &self.project)
            .env("SLUICEGATE_PORT", self.address.port().to_string())
            .env("SLUICEGATE_PORT_2", self.second.port().to_string())
            .env("ENVOY_IMAGE", image())
            .env_remove("POLICY")
            .env_remove("FILTERS")
            .envs(variables.iter().copied())
            .output()
            .expect("a script that runs")
    }

    /// Changes the policy in use.
    fn edit(&self, from: &str, to: &str) {
        let path = self.root.path().join(PRESET);
        let text = fs::read_to_string(&path).expect("the preset");
        assert!(text.contains(from), "`{from}` is not in {PRESET}");
        fs::write(&path, text.replacen(from, to, 1)).expect("a file can be written");
    }

    /// The container of one service.
    fn container(&self, service: &str) -> String {
        let project = format!("label=com.docker.compose.project={}", self.project);
        let service = format!("label=com.docker.compose.service={service}");
        docker(&["ps", "--quiet", "--filter", &project, "--filter", &service])
            .trim()
            .to_owned()
    }

    /// How many counters the engine has, as it says it. The first gateway asks, by its bash.
    fn counters(&self) -> String {
        const ASK: &str = "exec 3<>/dev/tcp/engine/6379 && printf 'DBSIZE\\r\\n' >&3 && \
                           read -r line <&3 && echo \"$line\" || true";
        let gateway = self.container("gateway");
        let answer = docker(&["exec", &gateway, "/bin/bash", "-c", ASK]);
        answer.trim().to_owned()
    }

    /// The containers, networks and volumes of this project.
    fn left(&self) -> String {
        let label = format!("label=com.docker.compose.project={}", self.project);
        let containers = docker(&["ps", "--all", "--quiet", "--filter", &label]);
        let networks = docker(&["network", "ls", "--quiet", "--filter", &label]);
        containers + &networks + &docker(&["volume", "ls", "--quiet", "--filter", &label])
    }
}

impl Drop for Checkout {
    fn drop(&mut self) {
        // After a failure. Otherwise there is nothing to do.
        let _ = self.script("down");
    }
}

/// Whether these tests are skipped, which is not allowed if CI is set.
fn is_left_out() -> bool {
    let is_left_out = !compose_is_installed();
    if is_left_out {
        assert!(
            std::env::var_os("CI").is_none(),
            "CI is set, but neither docker compose nor docker-compose is installed"
        );
        eprintln!("skipped: neither docker compose nor docker-compose is installed");
    }
    is_left_out
}

fn compose_is_installed() -> bool {
    [
        ("docker", &["compose", "version"][..]),
        ("docker-compose", &["version"]),
    ]
    .iter()
    .any(|(program, arguments)| {
        let output = Command::new(program).args(*arguments).output();
        output.is_ok_and(|output| output.status.success())
    })
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
