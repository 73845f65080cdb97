//! The operator's view: the access log, the metrics, and no secret in either.

use super::{ALPHA, BETA, spend};
use crate::harness::{Call, Gateway, Policy, TestBed, eventually};
use serde_json::{Value, json};

pub(crate) async fn the_access_log_shows_the_decisions(bed: &TestBed) {
    let gateway = bed.open(&Policy::named("exact")).await;
    exercise(&gateway).await;
    let expected = [
        (
            "200",
            "via_upstream",
            "decision=admitted limit=standard tier=standard org=alpha",
        ),
        (
            "429",
            "sluicegate_refused:standard",
            "decision=refused limit=standard tier=standard org=alpha",
        ),
        ("401", "sluicegate_unauthorized:absent", "decision=refused"),
        ("401", "sluicegate_unauthorized:unknown", "decision=refused"),
    ];
    for (status, details, state) in expected {
        eventually(
            &format!("a line with {status}, {details}, {state}"),
            async || {
                let log = gateway.log();
                let mut lines = log
                    .lines()
                    .filter_map(|line| serde_json::from_str::<Value>(line).ok());
                let found = lines.any(|line| {
                    let text = line.to_string();
                    line["response_code_details"] == details
                        && text.contains(status)
                        && text.contains(state)
                });
                found.then_some(())
            },
        )
        .await;
    }
}

pub(crate) async fn the_json_log_has_the_documented_fields(bed: &TestBed) {
    let parts = json!({ "attributes": ["org"], "parts": "always" });
    let policy = Policy::named("exact").with("/access_log", parts);
    let gateway = bed.open(&policy).await;
    let client = gateway.client();
    let call = Call::post("/v2/things?page=2").bearer(ALPHA[0]).sized(123);
    let statuses = client.statuses(&call, 11).await;
    assert_eq!((statuses[0], statuses[10]), (200, 429), "{statuses:?}");
    let line = async |decision: &str| {
        eventually(&format!("a line of a request {decision}"), async || {
            let log = gateway.log();
            let mut lines = log
                .lines()
                .filter_map(|line| serde_json::from_str::<Value>(line).ok());
            lines.find(|line| line["sluicegate_parts"]["decision"] == decision)
        })
        .await
    };
    let (admitted, refused) = (line("admitted").await, line("refused").await);
    let operations = include_str!("../../docs/operations.md");
    let (_, table) = operations
        .split_once("### The JSON format\n")
        .expect("a chapter");
    let (table, _) = table.split_once("```").expect("an example");
    let rows = table.lines().filter_map(|line| line.strip_prefix("| `"));
    let mut documented: Vec<&str> = rows
        .filter_map(|row| row.split('|').next())
        .flat_map(|names| names.split(','))
        .map(|name| name.trim().trim_matches('`'))
        .collect();
    documented.sort_unstable();
    for line in [&admitted, &refused] {
        let mut fields: Vec<&String> = line.as_object().expect("an object").keys().collect();
        fields.sort_unstable();
        assert_eq!(fields, documented);
        assert_eq!(line["path"], "/v2/things");
        assert_eq!(
            (&line["method"], &line["grpc_status"]),
            (&json!("POST"), &json!(null))
        );
        let parts = line["sluicegate_parts"].as_object().expect("an object");
        let written = line["sluicegate"].as_str().expect("text").split(' ');
        let mut count = 0;
        for (name, value) in written.filter_map(|part| part.split_once('=')) {
            assert_eq!(parts[name], value, "{name}");
            count += 1;
        }
        assert_eq!(count, parts.len(), "{parts:?}");
        let address = line["client_address"].as_str().expect("text");
        assert!(address.parse::<std::net::IpAddr>().is_ok(), "{address}");
    }
    assert_eq!(admitted["bytes_received"], 123);
    assert_eq!(admitted["sluicegate_parts"]["org"], "alpha");
    assert_eq!(refused["status"], 429);
    assert_eq!(refused["sluicegate_parts"]["limit"], "standard");
}

pub(crate) async fn the_metrics_show_the_decisions(bed: &TestBed) {
    let gateway = bed.open(&Policy::named("exact")).await;
    exercise(&gateway).await;
    let metric =
        async |name: &str, labels: &[(&str, &str)]| gateway.admin.metric(name, labels).await;
    let exact = ("policy", "exact");
    let standard = ("limit", "standard");
    assert_eq!(
        metric(
            "sluicegate_requests_total",
            &[exact, standard, ("decision", "admitted")]
        )
        .await,
        13
    );
    assert_eq!(
        metric(
            "sluicegate_requests_total",
            &[exact, standard, ("decision", "refused")]
        )
        .await,
        2
    );
    assert_eq!(
        metric("sluicegate_refunds_total", &[exact, standard]).await,
        3
    );
    assert_eq!(
        metric("sluicegate_requests_total", &[exact, ("limit", "reads")]).await,
        1
    );
    assert_eq!(
        metric(
            "sluicegate_unauthorized_total",
            &[exact, ("reason", "absent")]
        )
        .await,
        1
    );
    assert_eq!(
        metric(
            "sluicegate_unauthorized_total",
            &[exact, ("reason", "unknown")]
        )
        .await,
        1
    );
    let refused = "sluicegate_refused_requests_total";
    for (status, count) in [("429", 2), ("401", 2), ("503", 0)] {
        let labels = [exact, ("status", status)];
        assert_eq!(metric(refused, &labels).await, count, "{status}");
    }
    // Of one organization in two tiers.
    assert_eq!(metric("sluicegate_keys", &[exact]).await, 2);
    assert_eq!(metric("sluicegate_faults_total", &[]).await, 0);
    assert_eq!(metric("sluicegate_records_evicted_total", &[]).await, 0);
}

pub(crate) async fn no_key_is_ever_logged(bed: &TestBed) {
    let policy = Policy::named("exact");
    let gateway = bed.open(&policy).await;
    exercise(&gateway).await;
    let client = gateway.client();
    let by_query = Call::get(&format!("/v2/things?page=2&api_key={}", ALPHA[0]));
    client.send(by_query).await;
    client
        .send(Call::get("/v2/things?api_key=e2e-nobody"))
        .await;
    // A rejected policy is not repeated either.
    let secret = "hunter2-e2e-secret";
    let directory = serde_json::json!({ "sha256": secret, "org": "alpha" });
    let rejected = gateway
        .update_text(&policy.with("/callers/directory/-", directory).text())
        .await;
    assert!(rejected.is_err(), "an invalid hash");
    eventually("the access log has all", async || {
        gateway.log().contains("sluicegate_refused").then_some(())
    })
    .await;
    let mut written = gateway.log();
    for path in ["/stats", "/stats/prometheus"] {
        written.push_str(
            &gateway
                .admin
                .text(path)
                .await
                .expect("the admin endpoint answers"),
        );
    }
    for key in [ALPHA[0], ALPHA[1], "e2e-nobody", secret] {
        let line = written.lines().find(|line| line.contains(key));
        assert!(
            line.is_none(),
            "{key} is written in: {}",
            line.unwrap_or_default()
        );
    }
}

pub(crate) async fn a_401_logs_what_is_known_of_its_caller(bed: &TestBed) {
    const ALPHAS: &str = "ba54deff28f001a6ec98a370ce024690";
    let policy = Policy::named("callers")
        .with("/callers/attributes/ip", json!([{ "client_address": {} }]))
        .with(
            "/callers/attributes/place",
            json!([{ "path": "/e/{place}/**" }]),
        )
        .with("/revision", json!("git:1a2b3c"))
        .with(
            "/access_log",
            json!({ "attributes": ["org", "user", "ip", "place", "token", "api_key"] }),
        );
    let gateway = bed.open(&policy).await;
    let client = gateway.client();
    let call = Call::get("/e/a%20b/x");
    assert_eq!(client.send(call.clone()).await.status, 401);
    // The client's address as this proxy sees it.
    let ip = eventually("a line with the client's address", async || {
        let log = gateway.log();
        let (_, rest) = log.split_once("tier=- org=- user=- ip=")?;
        rest.split_once(' ').map(|(ip, _)| ip.to_owned())
    })
    .await;
    assert!(ip.parse::<std::net::IpAddr>().is_ok(), "{ip}");
    let calls = [
        (
            call.clone(),
            format!("org=- user=- ip={ip} place=a%20b token=- api_key=-"),
        ),
        // The first half of the SHA-256 of "test".
        (
            call.clone().header("x-api-key", "test"),
            format!(
                "org=- user=- ip={ip} place=a%20b token=- api_key=9f86d081884c7d659a2feaa0c55ad015"
            ),
        ),
        (
            call.clone().bearer(ALPHA[0]).header("x-api-key", BETA),
            format!(
                "org=- user=alice ip={ip} place=a%20b token={ALPHAS} \
                 api_key=3663211482a2ab517c40967f93d092cf conflicting=org"
            ),
        ),
    ];
    for (call, line) in calls {
        assert_eq!(client.send(call).await.status, 401);
        let (line, end) = match line.split_once(" conflicting=") {
            Some((line, attribute)) => (line, format!(" conflicting={attribute}")),
            None => (&*line, String::new()),
        };
        let line = format!(
            "\"decision=refused limit=- tier=- {line} policy=callers revision=git:1a2b3c{end}\""
        );
        eventually(&format!("a line with {line}"), async || {
            gateway.log().contains(&line).then_some(())
        })
        .await;
    }
    assert!(
        !gateway.log().contains(ALPHA[0]),
        "an identifier is no secret"
    );
}

pub(crate) async fn the_metrics_name_the_revision(bed: &TestBed) {
    let policy = Policy::named("exact");
    let revised = |revision: &str| policy.clone().with("/revision", json!(revision));
    let gateway = bed.open(&revised("git:1a/main")).await;
    let info = async |revision: &str| {
        let labels = [
            ("policy", "exact"),
            ("revision", revision),
            ("version", env!("CARGO_PKG_VERSION")),
        ];
        gateway
            .admin
            .metric("sluicegate_policy_info", &labels)
            .await
    };
    let loaded = async || {
        let labels = [("policy", "exact")];
        gateway
            .admin
            .metric("sluicegate_policy_loaded_seconds", &labels)
            .await
    };
    let first = loaded().await;
    assert_eq!(info("git:1a/main").await, 1);
    assert!(seconds_since(first) < 120, "{first}");

    let spelled = revised("git 2b").text();
    assert!(gateway.update_text(&spelled).await.is_err(), "a blank");
    assert_eq!((info("git:1a/main").await, loaded().await), (1, first));

    tokio::time::sleep(std::time::Duration::from_millis(1_100)).await;
    gateway
        .update(&revised("git:2b"))
        .await
        .expect("a good policy");
    assert_eq!((info("git:1a/main").await, info("git:2b").await), (0, 1));
    assert!(loaded().await > first);
    let keys_max = gateway.admin.metric("sluicegate_keys_max", &[]).await;
    assert_eq!(
        keys_max,
        policy.value()["store"]["keys_max"]
            .as_u64()
            .unwrap_or(100_000)
    );
}

fn seconds_since(then: u64) -> u64 {
    crate::harness::now().as_secs().abs_diff(then)
}

/// Three requests that fail, ten admitted, two refused, one without a key, one with a wrong key,
/// one read.
async fn exercise(gateway: &Gateway) {
    let client = gateway.client();
    let call = Call::get("/v2/things").bearer(ALPHA[0]);
    assert_eq!(
        client.statuses(&call.clone().answered(500), 3).await,
        [500; 3]
    );
    eventually("three are refunded", async || {
        (gateway.admin.metric("sluicegate_refunds_total", &[]).await == 3).then_some(())
    })
    .await;
    let (admitted, _) = spend(&client, &call).await;
    assert_eq!(admitted, 10);
    assert_eq!(
        client.send(call.header("x-api-key", ALPHA[1])).await.status,
        429
    );
    assert_eq!(client.send(Call::get("/v2/things")).await.status, 401);
    assert_eq!(
        client
            .send(Call::get("/v2/things").bearer("e2e-nobody"))
            .await
            .status,
        401
    );
    assert_eq!(
        client
            .send(Call::get("/v2/a/timeseries").bearer(ALPHA[0]))
            .await
            .status,
        200
    );
}
