//! `make up`, `make reload` and `make down`, in a copy of the repository with its own name and
//! port, so that containers started from the repository itself are not touched.

use crate::checkout::Checkout;
use crate::container::{Container, docker, image};
use crate::harness::{Call, Client, demo_jwt, eventually, free_address, run};
use std::net::SocketAddr;
use std::process::Command;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::sleep;

const KEY: &str = "demo-acme-1";
const FLEET: &str = "envoy/presets/enterprise-v2-fleet.yaml";
const FILTERS: &str = "envoy/filters/session.yaml";

async fn an_edit_applies_if_it_is_valid(checkout: &Checkout, client: &Client, call: &Call) {
    checkout.edit("burst: 100,", "burst: 0,");
    let complaint = checkout.fails("reload", &[]);
    assert!(complaint.contains("/limits/0/bucket/burst"), "{complaint}");
    assert_eq!(
        client.send(call.clone()).await.status,
        200,
        "the old policy still applies"
    );

    checkout.edit("burst: 0, refill: 60/min", "burst: 1, refill: 1/h");
    checkout.succeeds("reload", &[]);
    // On the connection of before. One unit at most has come back.
    let statuses = client.statuses(call, 2).await;
    assert_eq!(statuses[1], 429, "{statuses:?}");
}

/// Only a filter that verifies sessions can identify the owner of a JWT.
async fn another_policy_and_its_filters_apply(project: &Project) {
    let session = [("POLICY", "envoy/presets/dash0.yaml"), ("FILTERS", FILTERS)];
    project.checkout.succeeds("reload", &session);
    let bob = Call::get("/things").bearer(&demo_jwt("bob"));
    eventually("the session is accepted", async || {
        let answer = Client::http1(project.address).send(bob.clone()).await;
        (answer.status == 200).then_some(())
    })
    .await;
    let complaint = project
        .checkout
        .fails("reload", &[("FILTERS", "nowhere.yaml")]);
    assert!(complaint.contains("FILTERS=nowhere.yaml"), "{complaint}");
}

#[test]
fn up_serves_reload_applies_and_down_leaves_nothing() {
    if is_left_out() {
        return;
    }
    run(Container::make, async |_| {
        let project = Project::new();
        let checkout = &project.checkout;
        let output = checkout.succeeds("up", &[]);
        assert!(
            output.contains(&format!("listens on {}", project.address)),
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

        let client = Client::http1(project.address);
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

        an_edit_applies_if_it_is_valid(checkout, &client, &call).await;
        another_policy_and_its_filters_apply(&project).await;

        checkout.succeeds("down", &[]);
        assert_eq!(project.left(), "");
        assert!(client.try_send(call).await.is_err(), "the port is closed");
    });
}

#[test]
fn an_upstream_that_is_paused_keeps_its_slots_until_it_comes_back() {
    if is_left_out() {
        return;
    }
    run(Container::make, async |_| {
        let project = Project::new();
        let checkout = &project.checkout;
        checkout.succeeds("up", &[("POLICY", "envoy/presets/dynatrace.yaml")]);
        let call = Call::get("/api/v2/entities").header("authorization", "Api-Token demo-prod-1");
        assert_eq!(
            Client::http1(project.address)
                .send(call.clone())
                .await
                .status,
            200
        );
        let upstream = project.container("upstream");
        docker(&["pause", &upstream]);
        let mut all = JoinSet::new();
        for _ in 0..160 {
            let (client, call) = (Client::http1(project.address), call.clone());
            all.spawn(async move { client.send(call).await.status });
        }
        sleep(Duration::from_secs(2)).await;
        assert_eq!(
            Client::http1(project.address)
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
        assert_eq!(Client::http1(project.address).send(call).await.status, 200);
        checkout.succeeds("down", &[]);
    });
}

/// Prometheus scrapes both gateways, whose admin interface cannot be reached otherwise.
async fn prometheus_watches_both(project: &Project) {
    let client = Client::http1(project.prometheus);
    for metric in ["up", "sluicegate_policy_info"] {
        let call = Call::get(&format!("/api/v1/query?query=sum({metric})"));
        eventually(&format!("{metric} of two gateways"), async || {
            let answer = client.try_send(call.clone()).await.ok()?;
            answer.text().contains(",\"2\"]").then_some(())
        })
        .await;
    }
    let rules = client.send(Call::get("/api/v1/rules")).await;
    for rule in ["SluicegateFaults", "sluicegate:limit_quota"] {
        assert!(rules.text().contains(rule), "{}", rules.text());
    }
    for (path, expected) in [
        ("GET /stats/prometheus", "200"),
        ("POST /stats/prometheus", "404"),
        ("GET /config_dump", "404"),
        ("GET /stats/prometheus/../../config_dump", "404"),
        ("POST /quitquitquit", "404"),
    ] {
        let status = project.status_of_metrics(path);
        assert_eq!(status, expected, "{path}");
    }
}

#[test]
fn two_gateways_share_the_counters_of_their_engine() {
    if is_left_out() {
        return;
    }
    run(Container::make, async |_| {
        let project = Project::new();
        let checkout = &project.checkout;
        let output = checkout.succeeds("up", &[("POLICY", FLEET), ("OBSERVE", "1")]);
        assert!(output.contains(&project.second.to_string()), "{output}");
        assert!(output.contains(&project.prometheus.to_string()), "{output}");
        let call = Call::get("/v2/things").bearer(KEY);
        let gateways = [project.address, project.second].map(Client::http1);
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
            "{admitted} of 10, less those that the first holds"
        );

        assert_eq!(project.counters(), ":1");
        // AOF writes every second.
        sleep(Duration::from_millis(1_500)).await;
        docker(&["restart", &project.container("engine")]);
        eventually("the counter is still there", async || {
            (project.counters() == ":1").then_some(())
        })
        .await;

        prometheus_watches_both(&project).await;

        // Without such a limit there is one gateway again.
        checkout.succeeds("up", &[]);
        assert_eq!(
            ["gateway2", "engine", "prometheus"]
                .map(|name| project.container(name))
                .concat(),
            ""
        );
        let complaint = checkout.fails("reload", &[("POLICY", FLEET)]);
        assert!(complaint.contains("scope: global"), "{complaint}");
        checkout.succeeds("down", &[]);
        assert_eq!(project.left(), "", "no container, network or volume");
    });
}

/// A checkout with a compose project of its own.
struct Project {
    checkout: Checkout,
    name: String,
    address: SocketAddr,
    /// Of the second gateway.
    second: SocketAddr,
    prometheus: SocketAddr,
}

impl Project {
    fn new() -> Self {
        let [address, second, prometheus] = [free_address(), free_address(), free_address()];
        let name = format!("sluicegate-{}-{}", std::process::id(), address.port());
        let checkout = Checkout::new(vec![
            ("COMPOSE_PROJECT_NAME", name.clone()),
            ("SLUICEGATE_PORT", address.port().to_string()),
            ("SLUICEGATE_PORT_2", second.port().to_string()),
            ("PROMETHEUS_PORT", prometheus.port().to_string()),
            ("ENVOY_IMAGE", image()),
        ]);
        Self {
            checkout,
            name,
            address,
            second,
            prometheus,
        }
    }

    /// The container of one service.
    fn container(&self, service: &str) -> String {
        let project = format!("label=com.docker.compose.project={}", self.name);
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

    /// The status of a request to the gateway's listener for metrics, inside of its container.
    fn status_of_metrics(&self, request: &str) -> String {
        let ask = format!(
            "exec 3<>/dev/tcp/127.0.0.1/9902 && printf '{request} HTTP/1.1\\r\\nhost: x\\r\\n\
             connection: close\\r\\n\\r\\n' >&3 && read -r _ status _ <&3 && echo \"$status\""
        );
        let gateway = self.container("gateway");
        let answer = docker(&["exec", &gateway, "/bin/bash", "-c", &ask]);
        answer.trim().to_owned()
    }

    /// The containers, networks and volumes of this project.
    fn left(&self) -> String {
        let label = format!("label=com.docker.compose.project={}", self.name);
        let containers = docker(&["ps", "--all", "--quiet", "--filter", &label]);
        let networks = docker(&["network", "ls", "--quiet", "--filter", &label]);
        containers + &networks + &docker(&["volume", "ls", "--quiet", "--filter", &label])
    }
}

impl Drop for Project {
    fn drop(&mut self) {
        // After a failure. Otherwise there is nothing to do.
        let _ = self.checkout.command("down", &[]).output();
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
