//! The audit log: a real Envoy, and a collector that keeps every record.

use crate::harness::{Call, Policy, Setup, TestBed, eventually, run};
use crate::otlp::Collector;
use crate::process::Process;
use crate::scenarios::ALPHA;
use serde_json::json;
use std::time::Duration;

#[test]
fn every_refusal_is_one_record_and_no_admitted_request_is() {
    run(Process::make, async |bed: &TestBed| {
        let collector = Collector::start().await;
        let policy = Policy::named("exact")
            .with("/revision", json!("git:1a2b3c"))
            .with("/access_log/attributes", json!(["org", "token"]));
        let setup = Setup::of(&policy).with_collector(collector.address);
        let gateway = bed.open_with(setup).await;
        let client = gateway.client();
        let call = Call::get(&format!("/v2/things?page=2&secret={}", ALPHA[1]))
            .bearer(ALPHA[0])
            .header("user-agent", "audited/1.0");
        let statuses = client.statuses(&call, 15).await;
        let refused = statuses.iter().filter(|status| **status == 429).count();
        assert_eq!(refused, 5, "{statuses:?}");
        let nobody = Call::get("/v2/things").bearer("e2e-nobody");
        assert_eq!(client.statuses(&nobody, 2).await, [401; 2]);

        eventually("seven records arrive", async || {
            (collector.records().len() >= 7).then_some(())
        })
        .await;
        tokio::time::sleep(Duration::from_millis(1_500)).await;
        let records = collector.records();
        assert_eq!(records.len(), 7, "{records:?}");
        let of = |body: &str| records.iter().filter(|it| it["body"] == body).count();
        assert_eq!(of("sluicegate_refused:standard"), 5);
        assert_eq!(of("sluicegate_unauthorized:unknown"), 2);
        let record = records.iter().find(|it| it["body"].ends_with("standard"));
        let record = record.expect("a refusal");
        for (name, value) in [
            ("http.request.method", "GET"),
            ("url.path", "/v2/things"),
            ("http.response.status_code", "429"),
            ("user_agent.original", "audited/1.0"),
            ("sluicegate.decision", "refused"),
            ("sluicegate.org", "alpha"),
            ("security_rule.name", "standard"),
            ("security_rule.ruleset.name", "exact"),
            ("security_rule.version", "git:1a2b3c"),
        ] {
            assert_eq!(record[name], value, "{name} of {record:?}");
        }
        let guess = records.iter().find(|it| it["body"].ends_with("unknown"));
        let guessed = &guess.expect("a 401")["sluicegate.token"];
        let is_identifier = guessed.bytes().all(|byte| byte.is_ascii_hexdigit());
        assert!(guessed.len() > 8 && is_identifier, "{guessed}");
        let address = &record["client.address"];
        assert!(address.parse::<std::net::IpAddr>().is_ok(), "{address}");
        let received = String::from_utf8_lossy(&collector.received()).into_owned();
        for secret in [ALPHA[0], ALPHA[1], "e2e-nobody", "page=2"] {
            assert!(!received.contains(secret), "{secret}");
        }
    });
}
