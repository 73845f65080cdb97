//! Limits that all proxies share: several Envoys and a real Redis, which die, hang and forget.

use crate::harness::{Call, Client, Gateway, Policy, Setup, Signal, TestBed, eventually, run};
use crate::process::Process;
use crate::redis::{self, Redis};
use serde_json::{Value, json};
use std::time::Duration;
use tokio::time::{Instant, sleep};

const KEEPS: [&str; 4] = ["--appendonly", "yes", "--appendfsync", "always"];

/// One limit for each organization.
fn policy(limit: &Value, engine: &Value) -> Policy {
    let mut whole = json!({ "name": "org", "per": ["org"], "scope": "global" });
    for (key, value) in limit.as_object().expect("a limit") {
        whole[key] = value.clone();
    }
    Policy::measuring(json!([{ "for": { "routes": ["/held/**"] }, "bytes": "10KB", "hold": true }]))
        .with(
            "/callers",
            json!({ "attributes": { "org": [{ "header": "x-org", "trusted": true }] } }),
        )
        .with("/limits", json!([whole]))
        .with("/store", json!({ "engine": engine }))
}

fn plain() -> Value {
    json!({ "redis": "sluicegate_engine", "timeout": "200ms" })
}

fn rolling(quota: u64, window: &str) -> Value {
    json!({ "rolling": { "quota": quota, "window": window }, "failure": "deny" })
}

fn of(org: &str) -> Call {
    Call::get("/").header("x-org", org)
}

/// This many gateways under one policy and one engine.
async fn gateways(bed: &TestBed, count: usize, policy: &Policy, redis: &Redis) -> Vec<Gateway> {
    let mut all = Vec::new();
    for _ in 0..count {
        let setup = Setup::of(policy).with_engine(redis.address);
        all.push(bed.open_with(setup).await);
    }
    all
}

/// Sends to the gateways in turn. The statuses.
async fn in_turn(gateways: &[Gateway], call: &Call, count: usize) -> Vec<u16> {
    let clients: Vec<Client> = gateways.iter().map(Gateway::client).collect();
    let mut statuses = Vec::new();
    for number in 0..count {
        let client = &clients[number % clients.len()];
        statuses.push(client.send(call.clone()).await.status);
    }
    statuses
}

fn admitted(statuses: &[u16]) -> usize {
    statuses.iter().filter(|status| **status == 200).count()
}

#[test]
fn proxies_share_one_counter_over_restarts_of_a_proxy_and_of_the_engine() {
    run(Process::make, async |bed: &TestBed| {
        let mut redis = Redis::start(&KEEPS);
        let policy = policy(&rolling(10, "1h"), &plain());
        let mut all = gateways(bed, 3, &policy, &redis).await;
        assert_eq!(admitted(&in_turn(&all, &of("acme"), 6).await), 6);
        all[0].signal(Signal::Kill);
        all[0].start().await.expect("a start");
        redis.restart(&KEEPS);
        // The scripts are forgotten, the counts are not.
        let mut found = 0;
        for _ in 0..20 {
            found += admitted(&in_turn(&all, &of("acme"), 3).await);
            sleep(Duration::from_millis(200)).await;
        }
        assert_eq!(found, 4, "10 in all");
        let refused = all[1].client().send(of("acme")).await;
        assert_eq!(refused.status, 429);
        assert_eq!(refused.number("x-ratelimit-limit"), Some(10));
        assert_eq!(refused.number("x-ratelimit-remaining"), Some(0));
        let wait = refused.number("retry-after").expect("a time");
        assert!((3_000..=3_800).contains(&wait), "{wait}");
        assert_eq!(admitted(&in_turn(&all, &of("globex"), 3).await), 3);
        let keys = redis.ask("KEYS *");
        assert!(keys.contains("sg1:{") && !keys.contains("acme"), "{keys}");
    });
}

/// Requests at random gateways, for this long. The times at which the upstreams received them.
async fn crowd(gateways: &[Gateway], rate: u64, seconds: u64) -> Vec<Duration> {
    let end = Instant::now() + Duration::from_secs(seconds);
    let mut tasks = tokio::task::JoinSet::new();
    for task in 0..6_usize {
        let clients: Vec<Client> = gateways.iter().map(Gateway::client).collect();
        tasks.spawn(async move {
            let mut arrived = Vec::new();
            for number in task.. {
                if Instant::now() >= end {
                    break;
                }
                let client = &clients[number % clients.len()];
                let answer = client.try_send(of("acme")).await;
                arrived.extend(answer.ok().and_then(|answer| answer.arrived()));
                sleep(Duration::from_millis(6_000 / rate)).await;
            }
            arrived
        });
    }
    let mut all: Vec<Duration> = tasks.join_all().await.into_iter().flatten().collect();
    all.sort();
    all
}

/// The most requests within any window of this length.
fn most_within(arrived: &[Duration], window: Duration) -> usize {
    let within = |first: usize| {
        let rest = arrived[first..].iter();
        rest.take_while(|at| **at < arrived[first] + window).count()
    };
    (0..arrived.len()).map(within).max().unwrap_or_default()
}

#[test]
fn no_window_has_more_than_the_quota_while_proxies_and_the_engine_fail() {
    run(Process::make, async |bed: &TestBed| {
        let mut redis = Redis::start(&KEEPS);
        let policy = policy(&rolling(60, "4s"), &plain());
        let mut all = gateways(bed, 3, &policy, &redis).await;
        // The gateway that dies is not among those that the crowd asks.
        let mut third = all.pop().expect("a gateway");
        let chaos = async {
            for round in 0..4 {
                sleep(Duration::from_millis(1_500)).await;
                match round {
                    0 => {
                        third.signal(Signal::Kill);
                        third.start().await.expect("a start");
                    }
                    1 => {
                        redis.pause();
                        sleep(Duration::from_millis(500)).await;
                        redis.unpause();
                    }
                    2 => drop(redis.ask("CLIENT KILL TYPE normal SKIPME yes")),
                    _ => redis.restart(&KEEPS),
                }
                in_turn(std::slice::from_ref(&third), &of("acme"), 5).await;
            }
        };
        let (arrived, ()) = tokio::join!(crowd(&all, 100, 12), chaos);
        // The clock of the upstream is read a little later than that of the proxy.
        let window = Duration::from_millis(3_950);
        let most = most_within(&arrived, window);
        assert!(most <= 60, "{most} of 60 in one window");
        assert!(arrived.len() >= 90, "{} in 12 s", arrived.len());
    });
}

#[test]
fn without_the_engine_each_failure_mode_does_what_it_says() {
    run(Process::make, async |bed: &TestBed| {
        for mode in ["allow", "deny", "local"] {
            let redis = Redis::start(&[]);
            let engine = json!({ "redis": "sluicegate_engine", "proxies": 2 });
            let mut limit = rolling(6, "1h");
            limit["failure"] = mode.into();
            let all = gateways(bed, 1, &policy(&limit, &engine), &redis).await;
            assert_eq!(admitted(&in_turn(&all, &of("acme"), 2).await), 2, "{mode}");
            drop(redis);
            let client = all[0].client();
            // Units that the proxy took in advance may be left; of a small quota it takes none.
            let statuses = client.statuses(&of("globex"), 8).await;
            let answer = client.send(of("globex")).await;
            match mode {
                "allow" => {
                    assert_eq!(admitted(&statuses), 8);
                    assert_eq!(answer.header("x-ratelimit-remaining"), None);
                }
                "deny" => {
                    assert_eq!(admitted(&statuses), 0);
                    assert_eq!(answer.number("retry-after"), Some(1));
                }
                _ => {
                    assert_eq!(admitted(&statuses), 3, "half of the quota");
                    assert_eq!(answer.number("x-ratelimit-limit"), Some(3));
                }
            }
            for part in [
                "the engine sluicegate_engine is unavailable",
                "engine=fallback",
            ] {
                eventually(part, async || all[0].log().contains(part).then_some(())).await;
            }
        }
    });
}

#[test]
fn an_engine_that_starts_late_is_found() {
    run(Process::make, async |bed: &TestBed| {
        let mut redis = Redis::start(&[]);
        let mut limit = rolling(5, "1h");
        limit["failure"] = "deny".into();
        redis.stop();
        let all = gateways(bed, 2, &policy(&limit, &plain()), &redis).await;
        assert_eq!(admitted(&in_turn(&all, &of("acme"), 4).await), 0);
        redis.restart(&[]);
        eventually("the engine is found", async || {
            (admitted(&in_turn(&all, &of("probe"), 1).await) == 1).then_some(())
        })
        .await;
        sleep(Duration::from_secs(2)).await;
        assert_eq!(admitted(&in_turn(&all, &of("acme"), 9).await), 5);
    });
}

#[test]
fn most_requests_of_large_quotas_need_no_call() {
    run(Process::make, async |bed: &TestBed| {
        let redis = Redis::start(&[]);
        let all = gateways(bed, 2, &policy(&rolling(100_000, "1m"), &plain()), &redis).await;
        let mut waits_before = 0;
        for round in 0..6 {
            waits_before = all[0].admin.stat("sluicegate_engine_waits_total").await;
            for org in 0..20 {
                let statuses = in_turn(&all, &of(&org.to_string()), 20).await;
                assert_eq!(admitted(&statuses), 20, "{round}");
            }
        }
        let waits = all[0].admin.stat("sluicegate_engine_waits_total").await;
        let waits = waits - waits_before;
        assert!(
            waits <= 4,
            "{waits} of 200 requests waited in the last round"
        );
        for gateway in &all {
            let calls = gateway.admin.stat("sluicegate_engine_calls_total").await;
            assert!(calls <= 400, "{calls}");
        }
    });
}

#[test]
fn a_held_body_goes_on_whole_once_the_engine_has_answered() {
    run(Process::make, async |bed: &TestBed| {
        let redis = Redis::start(&[]);
        let all = gateways(bed, 1, &policy(&rolling(3, "1h"), &plain()), &redis).await;
        let client = all[0].client();
        let call = |bytes: usize| Call::post("/held/1").header("x-org", "acme").sized(bytes);
        assert_eq!(client.send(call(9_000)).await.status, 200);
        assert_eq!(client.send(call(11_000)).await.status, 413);
        // The head alone shows that it is too large, so it costs nothing.
        for status in [200, 200, 429] {
            assert_eq!(client.send(call(9_000)).await.status, status);
        }
    });
}

#[test]
fn a_changed_quota_keeps_the_count() {
    run(Process::make, async |bed: &TestBed| {
        let redis = Redis::start(&[]);
        let all = gateways(bed, 2, &policy(&rolling(4, "1h"), &plain()), &redis).await;
        assert_eq!(admitted(&in_turn(&all, &of("acme"), 6).await), 4);
        let larger = policy(&rolling(7, "1h"), &plain());
        for gateway in &all {
            gateway.update(&larger).await.expect("an update");
        }
        sleep(Duration::from_secs(1)).await;
        assert_eq!(admitted(&in_turn(&all, &of("acme"), 8).await), 3);
    });
}

#[test]
fn an_engine_that_was_flushed_counts_from_zero() {
    run(Process::make, async |bed: &TestBed| {
        let redis = Redis::start(&[]);
        let all = gateways(bed, 2, &policy(&rolling(6, "10m"), &plain()), &redis).await;
        assert_eq!(admitted(&in_turn(&all, &of("acme"), 9).await), 6);
        for flush in ["FLUSHALL", "FLUSHALL\r\nSCRIPT FLUSH"] {
            redis.ask(flush);
            // A worker remembers a refusal for half a percent of the window.
            let mut found = 0;
            for _ in 0..30 {
                found += admitted(&in_turn(&all, &of("acme"), 2).await);
                sleep(Duration::from_millis(200)).await;
            }
            assert_eq!(found, 6, "after {flush}");
            let expiry =
                redis.ask("EVAL \"return redis.call('TTL', redis.call('KEYS', '*')[1])\" 0");
            let seconds = expiry.lines().next().expect("a line");
            let seconds: i64 = seconds[1..].parse().expect("a number");
            assert!((1..=3_600).contains(&seconds), "{seconds}");
        }
    });
}

#[test]
fn a_slow_script_of_another_client_is_a_fault_until_it_ends() {
    run(Process::make, async |bed: &TestBed| {
        let redis = Redis::start(&["--busy-reply-threshold", "50"]);
        let all = gateways(bed, 1, &policy(&rolling(6, "1h"), &plain()), &redis).await;
        let client = all[0].client();
        assert_eq!(client.send(of("acme")).await.status, 200);
        let address = redis.address;
        let slow = tokio::task::spawn_blocking(move || {
            redis::call(address, b"EVAL 'while true do end' 0\r\nQUIT\r\n")
        });
        eventually("the engine is busy", async || {
            redis.ask("GET x").starts_with("-BUSY").then_some(())
        })
        .await;
        for _ in 0..5 {
            let answer = client.send(of("acme")).await;
            assert_eq!(answer.status, 429);
            assert_eq!(answer.number("retry-after"), Some(1));
        }
        let refused = &[("outcome", "refused")];
        let calls = "sluicegate_engine_calls_total";
        assert!(all[0].admin.metric(calls, refused).await > 0);
        assert!(all[0].log().contains("busy"), "the log names the reason");
        redis.ask("SCRIPT KILL");
        slow.await.expect("a thread").expect("an answer");
        let mut found = 0;
        for _ in 0..15 {
            found += admitted(&in_turn(&all, &of("acme"), 1).await);
            sleep(Duration::from_millis(200)).await;
        }
        assert_eq!(found, 5, "6 in all");
    });
}
