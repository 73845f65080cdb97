//! The listener for operators on a real Envoy with two workers, and `sluicegate inspect`.

use crate::harness::{
    Call, Client, Gateway, Policy, Setup, TestBed, eventually, free_address, required, run,
};
use crate::otlp::Collector;
use crate::process::Process;
use crate::scenarios::ALPHA;
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::process::{Command, Output};

/// `sluicegate inspect` at this address.
async fn inspect(at: SocketAddr, arguments: &[&str]) -> Output {
    let mut command = Command::new(required("SLUICEGATE"));
    command.args(["inspect", "--at", &at.to_string()]);
    command.args(arguments);
    let output = tokio::task::spawn_blocking(move || command.output());
    output.await.expect("a task").expect("a program that runs")
}

/// The answer as JSON.
async fn json_of(at: SocketAddr, arguments: &[&str]) -> Value {
    let output = inspect(at, &[&["--json"], arguments].concat()).await;
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {errors}");
    serde_json::from_slice(&output.stdout).expect("JSON")
}

async fn resets(gateway: &Gateway) -> u64 {
    let labels = [("policy", "exact")];
    gateway
        .admin
        .metric("sluicegate_resets_total", &labels)
        .await
}

#[test]
fn an_operator_sees_the_counters_of_all_workers_and_resets_one() {
    run(Process::make, async |bed: &TestBed| {
        let collector = Collector::start().await;
        let operators = free_address();
        let policy = Policy::named("exact");
        let setup = Setup::of(&policy).with_operators(operators);
        let gateway = bed.open_with(setup.with_collector(collector.address)).await;
        let call = Call::get("/v2/things").bearer(ALPHA[0]);
        // Connections of their own, so both workers count.
        let mut admitted = 0;
        for _ in 0..14 {
            let status = gateway.client().send(call.clone()).await.status;
            admitted += u32::from(status == 200);
        }
        assert_eq!(admitted, 10);

        for _ in 0..6 {
            let answer = json_of(operators, &["org=alpha"]).await;
            let [standard, reads] = [0, 1].map(|place| &answer["limits"][place]);
            assert_eq!(
                (&standard["remaining"], &reads["remaining"]),
                (&json!(0), &json!(20))
            );
        }
        let shown = inspect(operators, &["org=alpha", "--limit", "standard"]).await;
        let shown = String::from_utf8_lossy(&shown.stdout).into_owned();
        assert!(
            shown.contains("  standard\n    counts   org=alpha\n"),
            "{shown}"
        );
        assert!(shown.contains("    left     0 of 10; more in "), "{shown}");

        let other = json_of(operators, &["org=beta", "--reset", "standard"]).await;
        assert_eq!(other["reset"], false);
        assert_eq!(gateway.client().send(call.clone()).await.status, 429);
        let reset = inspect(operators, &["org=alpha", "--reset", "standard"]).await;
        let reset = String::from_utf8_lossy(&reset.stdout).into_owned();
        assert!(reset.contains("reset        standard\n"), "{reset}");
        let mut admitted = 0;
        for _ in 0..14 {
            let status = gateway.client().send(call.clone()).await.status;
            admitted += u32::from(status == 200);
        }
        assert_eq!((admitted, resets(&gateway).await), (10, 2));
        let log = gateway.log();
        let line = "exact: an operator reset standard for org=alpha";
        assert!(log.contains(line), "{log}");

        eventually("both resets are in the audit log", async || {
            let records = collector.records();
            let resets = records.iter().filter(|it| {
                it.get("sluicegate.decision")
                    .is_some_and(|it| it == "reset")
            });
            let mut callers: Vec<&str> = resets.map(|it| &*it["sluicegate.org"]).collect();
            // Each worker sends its own.
            callers.sort_unstable();
            (callers == ["alpha", "beta"]).then_some(())
        })
        .await;
    });
}

#[test]
fn clients_and_pages_in_a_browser_reach_no_counter() {
    run(Process::make, async |bed: &TestBed| {
        let operators = free_address();
        let setup = Setup::of(&Policy::named("exact")).with_extension();
        let setup = setup.with_operators(operators);
        let gateway = bed.open_with(setup).await;
        let path = "/sluicegate/limits/standard?org=alpha";
        // At the gateway it is a path like any other, which no limit names.
        for method in ["GET", "DELETE"] {
            let mut call = Call::new(method, path);
            for name in ["x-envoy-original-path", "sluicegate", "role"] {
                call = call.header(name, "operator");
            }
            let answer = gateway.client().send(call).await;
            assert_eq!(
                (answer.status, answer.arrived().is_some()),
                (200, true),
                "{method}"
            );
        }
        // A name that a DNS server of somebody else gives this address.
        for (host, path, status) in [
            ("attacker.example", path, 421),
            ("attacker.example:9903", path, 421),
            (&*operators.to_string(), path, 200),
            (&*format!("localhost:{}", operators.port()), path, 200),
            (&*operators.to_string(), "/v2/things", 404),
            (&*operators.to_string(), "/sluicegate/limitsx", 404),
            (
                &*operators.to_string(),
                "/sluicegate/limits/../limits/standard",
                404,
            ),
        ] {
            let answer = raw(operators, "GET", host, path).await;
            assert!(
                answer.starts_with(&format!("HTTP/1.1 {status} ")),
                "{host} {path}: {answer}"
            );
        }
        // A browser asks first before it sends a DELETE to another origin.
        let preflight = raw(operators, "OPTIONS", &operators.to_string(), path).await;
        assert!(preflight.starts_with("HTTP/1.1 405 "), "{preflight}");
        assert!(!preflight.contains("access-control"), "{preflight}");
        assert_eq!(resets(&gateway).await, 0);
        let client = Client::http1(gateway.address);
        let call = Call::get("/v2/things").bearer(ALPHA[0]);
        assert_eq!(
            client.statuses(&call, 10).await,
            [200; 10],
            "none of it counted"
        );
    });
}

async fn raw(address: SocketAddr, method: &str, host: &str, path: &str) -> String {
    let request = format!("{method} {path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n");
    let answer = crate::harness::raw(address, request.as_bytes(), false).await;
    String::from_utf8_lossy(&answer).into_owned()
}

#[test]
fn an_operator_is_told_what_to_do() {
    run(Process::make, async |bed: &TestBed| {
        let operators = free_address();
        let setup = Setup::of(&Policy::named("exact")).with_operators(operators);
        let _gateway = bed.open_with(setup).await;
        for (arguments, advice) in [
            (
                vec!["--limit", "standard"],
                "the limit also depends on org: add org=",
            ),
            (
                vec!["--reset", "readings", "org=alpha"],
                "has no limit readings; it has: standard, reads",
            ),
            (vec!["orgg=alpha"], "no attribute or key orgg; it has: "),
        ] {
            let output = inspect(operators, &arguments).await;
            let errors = String::from_utf8_lossy(&output.stderr).into_owned();
            assert_eq!(output.status.code(), Some(2), "{errors}");
            assert!(errors.contains(advice), "{errors}");
        }
        let nowhere = inspect(free_address(), &["org=alpha"]).await;
        let errors = String::from_utf8_lossy(&nowhere.stderr).into_owned();
        assert!(
            errors.contains("does not answer") && errors.contains("--inspect"),
            "{errors}"
        );
    });
}
