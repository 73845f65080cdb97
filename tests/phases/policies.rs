//! The policies under test. The filter reads JSON.

/// The callers and the replies of all of them.
const COMMON: &str = "
version: 1
name: phases
callers:
  credentials: [{ name: key, header: x-key }]
  unknown: anonymous
  absent: refuse
  attributes: { org: [{ header: x-org, trusted: true }] }
replies: { fields: { family: both } }
access_log: { attributes: [org] }
";

/// The units of the bucket of each organization, of which one comes back each second.
pub(crate) const BURST: u64 = 3;

/// One bucket for each organization.
pub(crate) const LIMITS: &str = "
limits: [{ name: each, per: [org], bucket: { burst: 3, refill: 1/s } }]
";

/// The slots of each organization.
pub(crate) const SLOTS: usize = 2;

/// The milliseconds for which a request waits for a slot.
pub(crate) const TIMEOUT: u64 = 2_000;

/// Two slots for each organization, and a queue of two.
pub(crate) const POOL: &str = "
concurrency: [{ name: pool, per: [org], slots: 2, queue: { length: 2, timeout: 2s } }]
limits: [{ name: each, per: [org], bucket: { burst: 1000, refill: 1000/s } }]
";

/// Bodies that are held, and bodies that are read while they stream.
pub(crate) const PAYLOADS: &str = "
concurrency: [{ name: pool, per: [org], slots: 1000 }]
limits: [{ name: each, per: [org], bucket: { burst: 1000, refill: 1000/s } }]
payloads:
  - { name: held, for: { routes: [\"/held/**\"] }, bytes: 100KB, hold: true, json: { depth: 3 } }
  - { name: streamed, for: { routes: [\"/streamed/**\"] }, bytes: 300KB, decoded_bytes: 100MB }
";

/// Bodies that are read while they stream, and nothing else that needs ticks.
pub(crate) const UPLOADS: &str = "
payloads: [{ name: streamed, bytes: 300KB, decoded_bytes: 100MB }]
";

/// Costs that the body and the response state, and a limit of successes.
pub(crate) const COSTS: &str = "
limits:
  - { name: late, per: [org], calendar: { quota: 100, window: 1d },
      cost: { response_header: x-cost } }
  - { name: bytes, per: [org], calendar: { quota: 1000000, window: 1d }, cost: { bytes: request } }
  - { name: good, per: [org], bucket: { burst: 1000, refill: 1/h }, charge: success }
";

/// Limits that all proxies share, with and without a body to hold.
pub(crate) const SHARED: &str = "
limits:
  - { name: each, per: [org], scope: global, bucket: { burst: 1000, refill: 1000/s } }
  - { name: few, per: [org], scope: global, charge: success, failure: local,
      rolling: { quota: 10, window: 1s } }
store: { engine: { redis: engine, timeout: 30ms, proxies: 2 } }
payloads: [{ for: { routes: [\"/held/**\"] }, bytes: 100KB, hold: true, json: { depth: 3 } }]
";

/// Usage by gRPC, with more organizations than there is place for.
pub(crate) const USAGE: &str = "
limits: [{ name: each, per: [org], bucket: { burst: 3, refill: 1/s } }]
usage: { every: 1s, series_max: 2, to: { otlp: collector, protocol: grpc }, tags: { org: org } }
";

/// Usage as counters of Envoy.
pub(crate) const COUNTERS: &str = "
limits: [{ name: each, per: [org], bucket: { burst: 3, refill: 1/s } }]
usage: { series_max: 2, to: { stats: true }, tags: { org: org } }
";

/// A policy of [`COMMON`] and the rest.
pub(crate) fn policy(rest: &str) -> String {
    json(&format!("{COMMON}{rest}"))
}

/// Every key of the language but for queues in which somebody waits.
pub(crate) fn everything() -> String {
    let file = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/tests/policies/ok_everything.yaml"
    );
    json(&std::fs::read_to_string(file).expect("the policy"))
}

fn json(yaml: &str) -> String {
    let policy: serde_json::Value = serde_saphyr::from_str(yaml).expect("YAML");
    policy.to_string()
}

/// A request head with a key.
pub(crate) fn head<'a>(method: &'a str, path: &'a str, org: &'a str) -> Vec<(&'a str, &'a str)> {
    vec![
        (":method", method),
        (":path", path),
        (":authority", "api.example"),
        (":scheme", "http"),
        ("x-key", "secret"),
        ("x-org", org),
    ]
}
