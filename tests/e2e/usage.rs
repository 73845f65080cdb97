//! Usage: a real Envoy with two workers, and a receiver that counts exactly.

use crate::harness::{Call, Gateway, Policy, Setup, TestBed, eventually, run};
use crate::otlp::{Collector, Value};
use crate::process::Process;
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use tokio::time::sleep;

pub(crate) const USUAL: &str = "sluicegate.usage.requests";

pub(crate) fn policy() -> Policy {
    Policy::named("usage")
}

fn get(user: &str) -> Call {
    Call::get("/things").header("x-user", user)
}

pub(crate) fn post(user: &str) -> Call {
    Call::post("/things").header("x-user", user)
}

pub(crate) async fn open(bed: &TestBed, policy: &Policy, collector: &Collector) -> Gateway {
    let setup = Setup::of(policy).with_collector(collector.address);
    bed.open_with(setup).await
}

/// Sends requests over many connections, so that both workers get some.
pub(crate) async fn send(gateway: &Gateway, call: &Call, count: usize) {
    for _ in 0..count.div_ceil(10) {
        let client = gateway.client();
        client.statuses(call, 10.min(count)).await;
    }
}

/// Waits until a metric's points with these tags have this sum, and no more.
pub(crate) async fn sum_is(collector: &Collector, metric: &str, tags: &[(&str, &str)], sum: i64) {
    eventually(&format!("{metric}{tags:?} is {sum}"), async || {
        (collector.sum(metric, tags) >= sum).then_some(())
    })
    .await;
    sleep(Duration::from_secs(3)).await;
    assert_eq!(collector.sum(metric, tags), sum, "{metric}{tags:?}");
}

#[test]
fn every_request_is_counted_once_by_both_workers() {
    run(Process::make, async |bed: &TestBed| {
        let collector = Collector::start().await;
        let gateway = open(bed, &policy(), &collector).await;
        send(&gateway, &get("ann"), 20).await;
        send(&gateway, &post("bob"), 100).await;
        send(&gateway, &post("ann"), 60).await;
        sum_is(&collector, USUAL, &[("limit_name", "writes")], 160).await;
        let count = |tags: &[(&str, &str)]| collector.sum(USUAL, tags);
        let ann = ("user", "ann");
        let all = ("limit_name", "all");
        assert_eq!(count(&[ann, all, ("rate_limit_status", "passed")]), 8);
        assert_eq!(count(&[ann, all, ("rate_limit_status", "blocked")]), 12);
        let trial = ("limit_name", "trial");
        assert_eq!(count(&[ann, trial, ("rate_limit_status", "passed")]), 2);
        assert_eq!(count(&[ann, trial, ("rate_limit_status", "blocked")]), 0);
        assert_eq!(
            count(&[ann, trial, ("rate_limit_status", "would_refuse")]),
            18
        );
        assert_eq!(count(&[("user", "bob"), ("limit_name", "writes")]), 100);

        let points = collector.points();
        let of = |limit| points.iter().find(|it| it.has(&[("limit_name", limit)]));
        let (bucket, day) = (of("all").expect("a point"), of("writes").expect("a point"));
        assert!(bucket.has(&[("limit_count", "8"), ("limit_period", "28800")]));
        assert!(day.has(&[("limit_count", "100000"), ("limit_period", "86400")]));
        for point in points.iter().filter(|it| it.metric == USUAL) {
            assert_eq!(point.unit, "{request}");
            assert!(
                point.time.0 <= point.time.1 && point.time.0 > 0,
                "{point:?}"
            );
        }
        let ratio = points.iter().rev().find(|it| {
            let tags = [ann, all, ("rate_limit_status", "passed")];
            it.metric == format!("{USUAL}_ratio") && it.has(&tags)
        });
        let ratio = ratio.expect("a ratio");
        assert_eq!((ratio.unit.as_str(), ratio.value), ("1", Value::Gauge(1.0)));
        assert_eq!(failures(&gateway).await, 0);
    });
}

/// The policy with this protocol to the collector.
fn policy_over(protocol: &str) -> Policy {
    let to = json!({ "otlp": "collector-of-usage", "protocol": protocol });
    policy().with("/usage/to", to)
}

async fn failures(gateway: &Gateway) -> u64 {
    let name = "sluicegate_usage_failed_total";
    gateway.admin.metric(name, &[("policy", "usage")]).await
}

#[test]
fn an_outage_of_the_collector_loses_and_repeats_nothing() {
    for protocol in ["http", "grpc"] {
        run(Process::make, async |bed: &TestBed| {
            let collector = Collector::start().await;
            let gateway = open(bed, &policy_over(protocol), &collector).await;
            send(&gateway, &post("ann"), 50).await;
            sum_is(&collector, USUAL, &[("user", "ann")], 50).await;
            collector.refuse(true);
            send(&gateway, &post("ann"), 70).await;
            eventually("two calls are refused", async || {
                (failures(&gateway).await >= 2).then_some(())
            })
            .await;
            send(&gateway, &post("ann"), 30).await;
            collector.refuse(false);
            sum_is(&collector, USUAL, &[("user", "ann")], 150).await;
        });
    }
}

#[test]
fn what_a_collector_lacks_is_reported_and_not_sent_again() {
    for protocol in ["http", "grpc"] {
        run(Process::make, async |bed: &TestBed| {
            let collector = Collector::start().await;
            let gateway = open(bed, &policy_over(protocol), &collector).await;
            collector.lack(3);
            send(&gateway, &post("ann"), 50).await;
            sum_is(&collector, USUAL, &[("user", "ann")], 50).await;
            eventually("the log says what the collector lacks", async || {
                let log = gateway.log();
                let said = "the collector accepted usage without 3 points: quota!";
                log.contains(said).then_some(())
            })
            .await;
            assert!(failures(&gateway).await >= 1);
            collector.lack(0);
            send(&gateway, &post("ann"), 20).await;
            sum_is(&collector, USUAL, &[("user", "ann")], 70).await;
        });
    }
}

#[test]
fn what_finds_no_place_is_counted_without_its_tags() {
    run(Process::make, async |bed: &TestBed| {
        let collector = Collector::start().await;
        let policy = policy().with("/usage/series_max", json!(20));
        let gateway = open(bed, &policy, &collector).await;
        for user in 0..100 {
            send(&gateway, &post(&format!("user-{user}")), 2).await;
        }
        sum_is(&collector, USUAL, &[("limit_name", "writes")], 200).await;
        let overflow = [
            ("otel.metric.overflow", "true"),
            ("limit_name", "writes"),
            ("rate_limit_status", "passed"),
        ];
        let count = collector.sum(USUAL, &overflow);
        assert!((160..200).contains(&count), "{count}");
        let points = collector.points();
        let users: BTreeSet<_> = points.iter().filter_map(|it| it.tags.get("user")).collect();
        assert!(users.len() <= 20, "{users:?}");
        let name = "sluicegate_usage_overflow_total";
        let counted = gateway.admin.metric(name, &[("policy", "usage")]).await;
        assert_eq!(i64::try_from(counted), Ok(count));
    });
}

#[test]
fn an_update_keeps_what_waits_and_is_reported_once() {
    run(Process::make, async |bed: &TestBed| {
        let collector = Collector::start().await;
        let first = policy().with("/revision", json!("one"));
        let gateway = open(bed, &first, &collector).await;
        collector.refuse(true);
        send(&gateway, &post("ann"), 40).await;
        let second = first
            .with("/revision", json!("two"))
            .with("/limits/1/calendar/quota", json!(200_000))
            .with("/limits/2/name", json!("other"));
        gateway.update(&second).await.expect("a good policy");
        send(&gateway, &post("ann"), 60).await;
        collector.refuse(false);
        sum_is(&collector, USUAL, &[("limit_name", "writes")], 100).await;
        let event = "sluicegate.policy.changed";
        let records = || {
            let records = collector.records().into_iter();
            let mut events =
                records.filter(|it| it.get("event_name").is_some_and(|it| it == event));
            let first = events.next();
            first.map(|record| (record, events.count()))
        };
        let (record, more) = eventually("the change arrives", async || records()).await;
        for (name, value) in [
            ("body", event),
            ("sluicegate.revision.old", "one"),
            ("sluicegate.revision.new", "two"),
            ("sluicegate.limits.added", "other"),
            ("sluicegate.limits.removed", "trial"),
            ("sluicegate.limits.changed", "writes"),
        ] {
            assert_eq!(record[name], value, "{name} of {record:?}");
        }
        sleep(Duration::from_secs(2)).await;
        assert_eq!((more, records().map(|(_, more)| more)), (0, Some(0)));
    });
}

#[test]
fn a_worker_that_traps_loses_only_what_it_has_not_merged() {
    run(Process::make, async |bed: &TestBed| {
        let collector = Collector::start().await;
        let setup = Setup::of(&policy()).with_collector(collector.address);
        let gateway = bed.open_with(setup.that_traps()).await;
        let mut sent = 0;
        for _ in 0..3 {
            send(&gateway, &post("ann"), 50).await;
            sent += 50;
            sum_is(&collector, USUAL, &[("user", "ann")], sent).await;
            let trap = post("bob").header("x-trap", "1");
            assert_eq!(gateway.client().send(trap).await.status, 503);
            eventually("the worker serves again", async || {
                let answers = gateway.client().statuses(&get("probe"), 8).await;
                answers.iter().all(|status| *status != 503).then_some(())
            })
            .await;
        }
    });
}

#[test]
fn an_unknown_cluster_fails_nothing_but_the_export() {
    for to in [
        json!({ "otlp": "nowhere" }),
        json!({ "otlp": "nowhere", "protocol": "grpc" }),
        json!({ "cloudevents": "nowhere" }),
    ] {
        run(Process::make, async |bed: &TestBed| {
            let gateway = bed.open(&policy().with("/usage/to", to.clone())).await;
            send(&gateway, &post("ann"), 10).await;
            eventually("failures are counted", async || {
                (failures(&gateway).await >= 2).then_some(())
            })
            .await;
            let statuses = gateway.client().statuses(&post("ann"), 10).await;
            assert_eq!(statuses, [200; 10]);
        });
    }
}

#[test]
fn counters_of_envoy_have_all_tags_as_labels() {
    run(Process::make, async |bed: &TestBed| {
        let policy = policy()
            .with("/usage/to", json!({ "stats": true }))
            .with("/usage/series_max", json!(2));
        let gateway = bed.open(&policy).await;
        send(&gateway, &get("ann"), 20).await;
        let name = "sluicegate_usage_requests_total";
        let own = [
            ("policy", "usage"),
            ("user", "ann"),
            ("limit_name", "all"),
            ("limit_count", "8"),
            ("limit_period", "28800"),
        ];
        let of = async |labels: &[(&str, &str)]| gateway.admin.metric(name, labels).await;
        eventually("all are counted", async || {
            (of(&[("limit_name", "all")]).await == 20).then_some(())
        })
        .await;
        let passed = of(&[("limit_name", "all"), ("rate_limit_status", "passed")]).await;
        assert_eq!(passed, 8);
        let overflow = of(&[("otel_metric_overflow", "true")]).await;
        assert!(overflow > 0);
        // Which series found a place depends on which worker was first.
        let overflow = of(&[("otel_metric_overflow", "true"), ("limit_name", "all")]).await;
        assert_eq!(of(&own).await + overflow, 20);
        // From the second round on, the counters of the overflow exist.
        let mut posts = 0;
        for round in 0..3 {
            for user in 0..10 {
                send(&gateway, &post(&format!("u;.;x=.={round}-{user}")), 1).await;
            }
            posts += 10;
            eventually("all posts are counted", async || {
                (of(&[("limit_name", "writes")]).await == posts).then_some(())
            })
            .await;
        }
        // Both limits of the reads, and the limit of the writes.
        assert_eq!(of(&[]).await, 20 + 20 + posts);
        let overflow = of(&[("otel_metric_overflow", "true")]).await;
        let counted = "sluicegate_usage_overflow_total";
        let counted = gateway.admin.metric(counted, &[("policy", "usage")]).await;
        assert_eq!(counted, overflow);
    });
}

#[test]
fn a_repeated_batch_of_cloud_events_has_the_same_ids() {
    run(Process::make, async |bed: &TestBed| {
        let collector = Collector::start().await;
        // Their cluster is that of the bootstrap's collector.
        let policy = policy().with("/usage/to", json!({ "cloudevents": "otel-collector" }));
        let gateway = open(bed, &policy, &collector).await;
        collector.refuse(true);
        send(&gateway, &post("ann"), 30).await;
        // Envoy sends its metrics there, too.
        let refused = || {
            let mut refused = collector.refused();
            refused.retain(|post| post.path == "/api/v1/events");
            refused
        };
        eventually("a batch is refused twice", async || {
            (refused().len() >= 2).then_some(())
        })
        .await;
        collector.refuse(false);
        let events = |posts: Vec<crate::otlp::Post>| {
            let mut values = BTreeMap::new();
            for post in posts {
                assert_eq!(post.content_type, "application/cloudevents-batch+json");
                let batch: serde_json::Value = serde_json::from_slice(&post.body).expect("JSON");
                for event in batch.as_array().expect("a batch") {
                    let data = &event["data"];
                    assert_eq!(event["specversion"], "1.0");
                    assert_eq!(event["type"], USUAL);
                    assert_eq!(event["subject"], "ann");
                    assert_eq!(data["limit_name"], "writes");
                    assert_eq!(data["rate_limit_status"], "passed");
                    assert_eq!(data["user"], "ann");
                    let id = event["id"].as_str().expect("an id").to_owned();
                    let value = data["value"].as_i64().expect("a whole number");
                    let before = values.insert(id, value);
                    assert!(
                        before.is_none_or(|it| it == value),
                        "the same id and number"
                    );
                }
            }
            values
        };
        let sum = || {
            events(collector.posts("/api/v1/events"))
                .values()
                .sum::<i64>()
        };
        eventually("all are counted", async || (sum() == 30).then_some(())).await;
        let refused = events(refused());
        let accepted = events(collector.posts("/api/v1/events"));
        assert!(refused.keys().all(|id| accepted.contains_key(id)));
        sleep(Duration::from_secs(3)).await;
        assert_eq!(sum(), 30);
    });
}
