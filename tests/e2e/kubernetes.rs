//! Envoys under the manifests that `render istio` and `render envoy-gateway` write.
//!
//! ```text
//! policy ──render──▶ manifests ──istiod, Envoy Gateway──▶ Envoy's configuration ──▶ Envoy
//! ```
//!
//! The second arrow is in [`istio`] and [`envoy_gateway`]: each reads the manifests, and writes for
//! Envoy the same as that platform's sources. The rest is as `render envoy` has it.

#[path = "kubernetes/envoy_gateway.rs"]
mod envoy_gateway;
#[path = "kubernetes/istio.rs"]
mod istio;
#[path = "kubernetes/manifests.rs"]
mod manifests;
#[path = "kubernetes/platform.rs"]
mod platform;

use self::istio::{Istio, Normalization};
use self::manifests::Options;
use self::platform::Platform;
use crate::harness::{Call, Gateway, Policy, Setup, TestBed, eventually, required, run};
use crate::process::Process;
use crate::redis::Redis;
use crate::scenarios::paths::{BELOW_V2, status};
use crate::scenarios::{ACME, ALPHA, datadog};
use serde_json::{Value, json};
use std::sync::Arc;

/// Runs a test on both platforms.
fn on_both(policy: &Policy, workers: u64, test: impl AsyncFn(&Platform, &Gateway)) {
    run(Process::make, async |bed: &TestBed| {
        let platforms = [
            Platform::istio(Options::default()),
            Platform::envoy_gateway(Options::default()).await,
        ];
        for platform in &platforms {
            let setup = platform.setup(policy);
            let gateway = bed.open_with(Setup { workers, ..setup }).await;
            test(platform, &gateway).await;
        }
    });
}

async fn statuses(gateway: &Gateway, call: &Call, count: usize) -> Vec<u16> {
    gateway.client().statuses(call, count).await
}

/// The number of 200 among as many requests as are surely too many.
async fn left(gateway: &Gateway, call: &Call) -> usize {
    let statuses = statuses(gateway, call, 12).await;
    assert_eq!(statuses.last(), Some(&429), "{statuses:?}");
    statuses.iter().filter(|status| **status == 200).count()
}

fn exact() -> Policy {
    Policy::named("exact").with("/revision", json!("first"))
}

fn things() -> Call {
    Call::get("/v2/things").bearer(ALPHA[0])
}

#[test]
fn counters_are_kept_over_an_update_and_an_upgrade() {
    on_both(
        &exact(),
        1,
        async |platform: &Platform, gateway: &Gateway| {
            assert_eq!(statuses(gateway, &things(), 3).await, [200; 3]);
            let second = exact().with("/revision", json!("second"));
            platform.apply(gateway, &second).await;
            assert_eq!(statuses(gateway, &things(), 3).await, [200; 3]);
            let code = required("SLUICEGATE_TRAP_WASM");
            platform.upgrade(gateway, &second, code).await;
            // Envoy names a VM by its code before it has fetched that, so code that is new to it
            // over HTTP begins to work at the next change of the policy.
            let third = exact().with("/revision", json!("third"));
            platform.apply(gateway, &third).await;
            // This header makes the other filter trap, which the first does not know.
            let absent = Call::get("/v2/things");
            let trap = absent.clone().header("x-trap", "1");
            eventually("the other filter is at work", async || {
                let status = gateway.client().send(trap.clone()).await.status;
                (status == 503).then_some(())
            })
            .await;
            // The only worker waits a second before it makes another VM.
            eventually("the VM that failed is replaced", async || {
                let status = gateway.client().send(absent.clone()).await.status;
                (status == 401).then_some(())
            })
            .await;
            assert_eq!(left(gateway, &things()).await, 4, "ten in all");

            let admin = &gateway.admin;
            let labels = |decision| {
                [
                    ("policy", "exact"),
                    ("limit", "standard"),
                    ("decision", decision),
                ]
            };
            for (decision, count) in [("admitted", 10), ("refused", 8)] {
                let counted = admin
                    .metric("sluicegate_requests_total", &labels(decision))
                    .await;
                assert_eq!(counted, count, "{decision}");
            }
            for (revision, value) in [("first", 0), ("second", 0), ("third", 1)] {
                let labels = [("policy", "exact"), ("revision", revision)];
                assert_eq!(admin.metric("sluicegate_policy_info", &labels).await, value);
            }
        },
    );
}

#[test]
fn an_invalid_policy_is_rejected_and_the_old_one_stays() {
    on_both(
        &exact(),
        2,
        async |platform: &Platform, gateway: &Gateway| {
            assert_eq!(statuses(gateway, &things(), 4).await, [200; 4]);
            let invalid = exact().with("/limits/0/bucket/burst", json!(0)).text();
            let log = platform.rejected(gateway, &exact(), &invalid).await;
            assert!(log.contains("/limits/0/bucket/burst: 0 is not in"), "{log}");
            assert_eq!(left(gateway, &things()).await, 6);
        },
    );
}

#[test]
fn the_logs_have_decisions_and_the_audit_log_refusals_alone() {
    let policy = exact().with("/access_log/parts", json!("refused"));
    on_both(
        &policy,
        2,
        async |platform: &Platform, gateway: &Gateway| {
            assert_eq!(left(gateway, &things()).await, 10);
            let audited = r#""security_rule.name":"standard""#;
            let logged = "\"sluicegate\":\"decision=admitted";
            let count = |text: &str| gateway.log().matches(text).count();
            match platform {
                Platform::Istio(_) => {
                    eventually("both refusals are audited", async || {
                        (count(audited) == 2).then_some(())
                    })
                    .await;
                    assert_eq!(count("\"sluicegate.reason\""), 2, "and nothing else");
                }
                Platform::EnvoyGateway(_) => {
                    eventually("ten decisions are logged", async || {
                        (count(logged) == 10).then_some(())
                    })
                    .await;
                }
            }
        },
    );
}

/// Calls that use up a limit of each preset, and some without a caller.
fn calls_of_presets() -> [(&'static str, Call, usize); 5] {
    let get = Call::get;
    [
        ("enterprise-v2", get("/v2/things").bearer(ACME[0]), 102),
        (
            "dash0",
            Call::post("/api/c/7/test").bearer("demo-alice-1"),
            12,
        ),
        (
            "datadog",
            datadog::keyed(datadog::monitor(), datadog::ACME[0]),
            122,
        ),
        ("datocms", get("/items").bearer("demo-free"), 62),
        (
            "dynatrace",
            Call::post("/api/config/v1/plugins/a")
                .header("authorization", "Api-Token demo-prod-1")
                .sized(2_000_000),
            2,
        ),
    ]
}

#[test]
fn presets_decide_as_on_an_envoy_of_one_s_own() {
    run(Process::make, async |bed: &TestBed| {
        let platforms = [
            Platform::istio(Options::default()),
            Platform::envoy_gateway(Options::default()).await,
        ];
        for (preset, call, count) in calls_of_presets() {
            let mut policy = Policy::shipped(&format!("envoy/presets/{preset}.yaml"));
            if preset == "datocms" {
                // No platform can hold, as `render` says.
                policy = policy.with("/payloads/0/hold", json!(false));
            }
            let unknown = Call::get("/v2/api/v1/monitor").bearer("unknown");
            let decided = async |gateway: Gateway| {
                let mut all = statuses(&gateway, &call, count).await;
                all.extend(statuses(&gateway, &unknown, 1).await);
                all
            };
            let expected = decided(bed.open(&policy).await).await;
            for platform in &platforms {
                let gateway = bed.open_with(platform.setup(&policy)).await;
                assert_eq!(decided(gateway).await, expected, "{preset}");
            }
        }
    });
}

/// Whether no upstream takes a path for one below `/v2`.
fn is_harmless(path: &str) -> bool {
    let odd = ["%", "\\", "..", ";", "//", "#"];
    !path.starts_with("/v2") && !odd.iter().any(|part| path.contains(part))
}

#[test]
fn no_spelling_reaches_a_protected_path_without_a_key() {
    run(Process::make, async |bed: &TestBed| {
        let base = Istio::new(Options::default(), Normalization::Base);
        let platforms = [
            Platform::Istio(Arc::new(base)),
            Platform::istio(Options::default()),
            Platform::envoy_gateway(Options::default()).await,
        ];
        for platform in &platforms {
            let gateway = bed.open_with(platform.setup(&Policy::named("exact"))).await;
            for path in BELOW_V2 {
                let before = gateway.upstream.paths().len();
                let status = status(&gateway, path, None).await;
                let received = gateway.upstream.paths().split_off(before);
                let passed = !received.is_empty() && received.iter().all(|path| is_harmless(path));
                assert!(
                    [307, 400, 401].contains(&status) && received.is_empty() || passed,
                    "{path} without a key: {status}, the upstream received {received:?}"
                );
            }
            let plain = status(&gateway, "/v2/things", None).await;
            assert_eq!(plain, 401);
        }
    });
}

#[test]
fn routes_of_other_policies_are_not_limited_and_the_endpoint_answers() {
    run(Process::make, async |bed: &TestBed| {
        let platform = Platform::envoy_gateway(Options::default()).await;
        let policy = exact().with("/replies/endpoint", json!({ "path": "/limits" }));
        let gateway = bed.open_with(platform.setup(&policy)).await;
        let free = Call::get(envoy_gateway::UNLIMITED).bearer(ALPHA[0]);
        assert_eq!(statuses(&gateway, &free, 12).await, [200; 12]);
        assert_eq!(left(&gateway, &things()).await, 10);
        let asked = Call::get("/limits?path=/v2/things").bearer(ALPHA[0]);
        let answer = gateway.client().send(asked).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        let answer: Value = serde_json::from_slice(&answer.body).expect("JSON");
        assert_eq!(answer["admitted"], false, "{answer}");
    });
}

/// The preset for a fleet, with a limit that each request asks the engine for.
fn fleet() -> Policy {
    let bucket = json!({ "burst": 10, "refill": "1/h" });
    Policy::shipped("envoy/presets/enterprise-v2-fleet.yaml")
        .limiting("standard", "bucket", bucket)
        .limiting("standard", "failure", json!("deny"))
        .with("/store/engine/timeout", json!("500ms"))
}

/// The requests that two proxies admit together.
async fn admitted_by_both(gateways: &[Gateway], key: &str) -> usize {
    let mut admitted = 0;
    for number in 0..24 {
        let client = gateways[number % 2].client();
        let call = Call::get("/v2/things").bearer(key);
        admitted += usize::from(client.send(call).await.status == 200);
    }
    admitted
}

/// A variable of every process that cargo runs, which stands for one of Envoy's container.
const VARIABLE: &str = "CARGO_MANIFEST_DIR";

#[test]
fn proxies_share_a_limit_by_an_engine_whose_password_is_in_the_environment() {
    run(Process::make, async |bed: &TestBed| {
        let password = std::env::var(VARIABLE).expect("a variable that cargo sets");
        let rights = "~sg1:* -@all +auth +select +quit +eval +evalsha +time +hgetall +hset +hdel \
                      +pexpire";
        let users = format!(
            "--user default on nopass -@all +ping +quit --user limits on >{password} {rights}"
        );
        let redis = Redis::start(&users.split(' ').collect::<Vec<_>>());
        let locked = fleet()
            .with("/store/engine/user", json!("limits"))
            .with("/store/engine/password", json!({ "env": VARIABLE }));
        let options = || Options::with_engine(redis.address);
        for (platform, key) in [
            (Platform::istio(options()), "demo-acme-1"),
            (Platform::envoy_gateway(options()).await, "demo-globex-1"),
        ] {
            let mut gateways = Vec::new();
            for policy in [&locked, &fleet()] {
                gateways.push(bed.open_with(platform.setup(policy)).await);
            }
            // The second proxy gets the password later.
            let call = Call::get("/v2/things").bearer(key);
            assert_eq!(gateways[1].client().send(call).await.status, 429);
            platform.apply(&gateways[1], &locked).await;
            assert_eq!(admitted_by_both(&gateways, key).await, 10);
        }
    });
}
