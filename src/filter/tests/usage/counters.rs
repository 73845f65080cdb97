//! Usage in Envoy's own counters.

use super::*;

/// The requests in a counter of the limit `day`, which all callers share.
fn day(proxy: &Proxy, tags: &str) -> u64 {
    proxy.count(&format!(
        "policy=.=demo;.;limit_name=.=day;.;{tags}sluicegate_usage_requests_total"
    ))
}

#[test]
fn all_requests_without_a_counter_of_their_own_count_as_overflow() {
    let proxy = Proxy::new();
    let usage = "{ metrics: [{ name: sluicegate.usage.requests, limits: [day] }], \
                 to: { stats: true }, tags: { user: user }, series_max: 2 }";
    let runtime = proxy.runtime(&policy(usage));
    // From the second tick on, the counter of the overflow exists.
    for round in 1..=3 {
        for user in 0..5 {
            send(&proxy, &runtime, "/a", &format!("{round}-{user}"));
        }
        tick(&proxy, &runtime);
        proxy.wait(1);
    }
    let tags = "rate_limit_status=.=passed;.;otel_metric_overflow=.=true;.;";
    let counted = proxy.count("policy=.=demo;.;sluicegate_usage_overflow_total");
    assert_eq!((day(&proxy, tags), counted), (13, 13));
}
