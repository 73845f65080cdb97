//! Paths that upstreams read in different ways, behind proxies that pass them on unchanged.

use super::ALPHA;
use crate::harness::{Gateway, Policy, Setup, TestBed, connection_manager, eventually, raw};
use serde_json::{Value, json};

/// The treatment of paths by a proxy without settings, and by Istio.
fn proxies() -> [(&'static str, Value); 2] {
    let keep = |normalize: bool| {
        json!({
            "normalize_path": normalize,
            "merge_slashes": false,
            "path_with_escaped_slashes_action": "KEEP_UNCHANGED",
        })
    };
    [("nothing set", keep(false)), ("Istio", keep(true))]
}

async fn open(bed: &TestBed, policy: &Policy, settings: Value) -> Gateway {
    let edited = Setup::of(policy).edited(move |listeners, _| {
        for (key, value) in settings.as_object().expect("a map") {
            connection_manager(listeners)[key] = value.clone();
        }
    });
    bed.open_with(edited).await
}

/// The status of a GET request whose path is sent as written.
pub(crate) async fn status(gateway: &Gateway, path: &str, key: Option<&str>) -> u16 {
    let key = key
        .map(|key| format!("x-api-key: {key}\r\n"))
        .unwrap_or_default();
    let request = format!("GET {path} HTTP/1.1\r\nhost: gateway\r\n{key}connection: close\r\n\r\n");
    let answer = raw(gateway.address, request.as_bytes(), false).await;
    let answer = String::from_utf8_lossy(&answer).into_owned();
    answer
        .get(9..12)
        .and_then(|status| status.parse().ok())
        .unwrap_or_else(|| panic!("{path}: {answer}"))
}

/// Paths that some upstream reads as one below `/v2`.
pub(crate) const BELOW_V2: [&str; 25] = [
    "/v2/x%2f..%2f..",
    "/v2/x%2F%2e%2e%2F..",
    "/v2/x%5c..%5c..",
    "/v2%2fthings",
    "/v2%5Cthings",
    "/v2\\things",
    "//v2/things",
    "/v2//things",
    "/v2;a=1/things",
    "/other/..;/v2/things",
    "/other;/../v2/things",
    "/other%2f..%2fv2/things",
    "/other%252f..%252fv2%252fthings",
    "/v2%252fthings",
    "/v2/%c0%ae%c0%ae/things",
    "/other%c0%af..%c0%afv2/things",
    "/./v2/things",
    "/other/../v2/things",
    "/%76%32/things",
    "/v2/things%00",
    "/other%00/../v2/things",
    "http://gateway/v2/things",
    "http://gateway/v2%2fx%2f..%2f..",
    "/v2/things#/..",
    "/v2/..%2Fv2%2Fthings",
];

/// No path that some upstream reads as one below `/v2` gets there without a key.
pub(crate) async fn no_spelling_reaches_the_upstream_without_a_key(bed: &TestBed) {
    for (proxy, settings) in proxies() {
        let gateway = open(bed, &Policy::named("exact"), settings).await;
        for path in BELOW_V2 {
            let status = status(&gateway, path, None).await;
            assert!(
                [400, 401].contains(&status),
                "{proxy}: {path} without a key is answered with {status}"
            );
        }
        assert!(
            gateway.upstream.paths().is_empty(),
            "{proxy}: {:?}",
            gateway.upstream.paths()
        );
        let refused = [("reason", "dot_segment")];
        assert!(
            gateway
                .admin
                .metric("sluicegate_paths_refused_total", &refused)
                .await
                >= 4,
            "{proxy}"
        );
        eventually("the access log has the reason", async || {
            gateway
                .log()
                .contains("sluicegate_path_refused:dot_segment")
                .then_some(())
        })
        .await;
        assert_eq!(
            gateway.admin.metric("sluicegate_faults_total", &[]).await,
            0
        );
    }
}

/// An id with an escaped slash passes unchanged, and counts for the limits of both readings.
pub(crate) async fn an_id_with_a_slash_passes_and_counts(bed: &TestBed) {
    let policy = Policy::named("exact").with(
        "/tiers",
        json!([{ "name": "reads", "routes": ["/v2/projects/*"] }]),
    );
    let policy = policy.with(
        "/limits",
        json!([
            { "name": "reads", "for": { "tier": "reads" }, "per": ["org"],
              "bucket": { "burst": 100, "refill": "1/h" } },
            {
                "name": "project", "for": { "routes": ["/v2/projects/{id}"] }, "per": ["id"],
                "bucket": { "burst": 2, "refill": "1/h" },
            },
        ]),
    );
    for (proxy, settings) in proxies() {
        let gateway = open(bed, &policy, settings).await;
        for (path, expected) in [
            ("/v2/projects/group%2Fname", 200),
            ("/v2/projects/group%2Fother", 200),
            ("/v2/projects/group%2Fname", 200),
            ("/v2/projects/group%2Fname", 429),
            ("/v2/projects/group%2Fother", 200),
            ("/v2/projects/a%20b%C3%A9", 200),
            ("/v2/projects/a%20b%C3%A9?x=..%2f", 200),
            ("/v2/projects/a%20b%C3%A9", 429),
        ] {
            assert_eq!(
                status(&gateway, path, Some(ALPHA[0])).await,
                expected,
                "{proxy}: {path}"
            );
        }
        assert_eq!(
            gateway.upstream.count("/v2/projects/group%2Fname"),
            2,
            "{proxy}: {:?}",
            gateway.upstream.paths()
        );
        assert_eq!(
            gateway
                .admin
                .metric(
                    "sluicegate_requests_total",
                    &[("limit", "reads"), ("decision", "admitted")]
                )
                .await,
            6
        );
    }
}
