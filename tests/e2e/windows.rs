//! Windows beyond the presets' rows: thousands of clients, boundaries of the calendar in any zone,
//! updates under load, several limits at once (X2, X3, X5).

use super::hostile::unharmed;
use super::outages::ended;
use super::promises::{away_from_the_turn, window_end_in};
use super::{ALPHA, BETA, SECOND, exactly, limit_and_left, spend, until_refused};
use crate::harness::{
    Call, Crowd, Load, Policy, Setup, Signal, TestBed, connection_manager, eventually, now,
};
use chrono_tz::Tz;
use serde_json::{Value, json};
use std::time::Duration;

/// A policy of these limits for the tests' own keys; each is per organization unless it states
/// otherwise.
pub(crate) fn limits(limits: &[(&str, Value)]) -> Policy {
    let limits = limits.iter().map(|(name, rest)| {
        let mut limit = json!({ "name": name, "per": ["org"] });
        let rest = rest.as_object().expect("a map").clone();
        limit.as_object_mut().expect("a map").extend(rest);
        limit
    });
    let limits = limits.collect();
    Policy::named("windows").with("/limits", Value::Array(limits))
}

pub(crate) fn on(route: &str, rule: Value) -> Value {
    let mut limit = rule;
    limit["for"] = json!({ "routes": [format!("/{route}/**")] });
    limit
}

pub(crate) fn bucket(burst: u64) -> Value {
    json!({ "bucket": { "burst": burst, "refill": "1/h" } })
}

pub(crate) fn rolling(quota: u64) -> Value {
    json!({ "rolling": { "quota": quota, "window": "1h" } })
}

/// A window of a day that does not end during a test: in a zone where it is about noon.
pub(crate) fn calendar(quota: u64) -> Value {
    // `Etc/GMT-3` is three hours ahead of Greenwich.
    let ahead = 12 - i64::try_from(now().as_secs() % 86_400 / 3_600).expect("an hour");
    let zone = format!("Etc/GMT{:+}", -ahead);
    json!({ "calendar": { "quota": quota, "window": "1d", "zone": zone } })
}

pub(crate) fn of(path: &str, key: &str) -> Call {
    Call::get(path).header("x-api-key", key)
}

pub(crate) async fn two_thousand_clients_get_the_quota_and_no_more(bed: &TestBed) {
    let policy = limits(&[
        ("rolling", on("rolling", rolling(700))),
        ("small", on("small", rolling(30))),
        ("calendar", on("calendar", calendar(700))),
        ("bucket", on("bucket", bucket(700))),
        ("narrow", on("both", calendar(500))),
        ("wide", on("both", rolling(700))),
    ]);
    let wide = policy.limit("wide");
    let policy = policy.with(&format!("/limits/{wide}/for/routes/-"), json!("/wide/**"));
    let gateway = bed.open(&policy).await;
    let crowd = Crowd::of(2_000, &gateway);
    let rounds = [
        ("/rolling/x", 700),
        ("/calendar/x", 700),
        ("/small/x", 30),
        ("/bucket/x", 700),
        ("/both/x", 500),
    ];
    for (path, quota) in rounds {
        let answers = crowd.send(1, |index| of(path, ALPHA[index % 2])).await;
        let count = |status| {
            answers
                .iter()
                .filter(|answer| answer.status == status)
                .count()
        };
        assert_eq!((count(200), count(429)), (quota, 2_000 - quota), "{path}");
        assert_eq!(
            gateway.upstream.count(path),
            quota,
            "{path}: every admitted request arrived, and no other"
        );
        // No two of them got the same number, or a wrong one.
        let mut left: Vec<u64> = answers
            .iter()
            .filter(|a| a.status == 200)
            .map(|a| limit_and_left(a).1)
            .collect();
        left.sort_unstable();
        assert!(left.into_iter().eq(0..quota as u64), "{path}");
    }
    let (rest, _) = spend(&gateway.client(), &of("/wide/x", ALPHA[0])).await;
    assert_eq!(
        rest, 200,
        "requests refused by the narrow limit were not charged to the wide one"
    );
    let mut connections = 0;
    for worker in [
        "worker_0.downstream_cx_total",
        "worker_1.downstream_cx_total",
    ] {
        let own = gateway.admin.stat(worker).await;
        assert!(own > 100, "{worker}: {own}");
        connections += own;
    }
    assert!(connections >= 2_000, "a connection each, not {connections}");
    unharmed(&gateway).await;
}

pub(crate) async fn an_update_under_load_keeps_the_counts(bed: &TestBed) {
    let kinds = [
        ("rolling", rolling as fn(u64) -> Value),
        ("calendar", calendar),
        ("bucket", bucket),
    ];
    let calls = |key: &str| kinds.map(|(name, _)| of(&format!("/{name}/x"), key));
    let policy = |quota: u64| limits(&kinds.map(|(name, rule)| (name, on(name, rule(quota)))));
    let gateway = bed.open(&policy(300)).await;
    let spent = async |quota: usize| {
        eventually("all of it is spent", async || {
            let counts = kinds.map(|(name, _)| gateway.upstream.count(&format!("/{name}/")));
            counts.iter().all(|count| *count >= quota).then_some(())
        })
        .await;
    };
    let load = Load::start(200, &gateway, |index| calls(ALPHA[index % 2]).to_vec());
    spent(100).await;
    gateway.update(&policy(500)).await.expect("a good policy");
    spent(500).await;
    gateway.update(&policy(400)).await.expect("a good policy");
    load.stop().await;
    for (call, (name, _)) in calls(ALPHA[0]).iter().zip(kinds) {
        let refusal = gateway.client().send(call.clone()).await;
        assert_eq!(
            (refusal.status, limit_and_left(&refusal)),
            (429, (400, 0)),
            "{name}"
        );
        let arrived = gateway.upstream.count(&format!("/{name}/"));
        assert_eq!(
            arrived, 500,
            "{name}: the largest quota, over all three policies"
        );
    }
    // Another organization is not affected.
    for call in calls(BETA) {
        assert_eq!(spend(&gateway.client(), &call).await.0, 400);
    }
}

pub(crate) async fn a_refusal_by_one_limit_charges_no_other(bed: &TestBed) {
    // Before and after the wide ones, and of every kind.
    let policy = limits(&[
        ("narrow-bucket", on("narrow-bucket", bucket(3))),
        ("wide-rolling", rolling(10)),
        ("narrow-rolling", on("narrow-rolling", rolling(3))),
        ("wide-calendar", calendar(10)),
        ("narrow-calendar", on("narrow-calendar", calendar(3))),
        ("wide-bucket", bucket(10)),
    ]);
    let mut gateway = bed.open(&policy).await;
    for _ in 0..2 {
        let client = gateway.client();
        for (path, left) in [
            ("/narrow-bucket/x", 7),
            ("/narrow-rolling/x", 4),
            ("/narrow-calendar/x", 1),
        ] {
            let (admitted, refusal) = until_refused(&client, &of(path, ALPHA[0])).await;
            assert_eq!(
                (admitted.len(), limit_and_left(&refusal)),
                (3, (3, 0)),
                "{path}"
            );
            assert_eq!(client.statuses(&of(path, ALPHA[1]), 20).await, [429; 20]);
            assert_eq!(
                limit_and_left(&client.send(of(path, BETA)).await).1,
                2,
                "{path}: {left} are left to alpha"
            );
        }
        let (rest, refusal) = until_refused(&client, &of("/x", ALPHA[0])).await;
        assert_eq!(
            (rest.len(), limit_and_left(&refusal)),
            (1, (10, 0)),
            "each of the wide ones was charged for nine"
        );
        // A killed proxy starts with empty counters.
        gateway.signal(Signal::Kill);
        ended(&mut gateway).await;
        gateway.start().await.expect("it starts again");
    }
}

pub(crate) async fn a_failed_request_is_refunded_in_every_kind_of_window(bed: &TestBed) {
    let success = |mut rule: Value| {
        rule["charge"] = json!("success");
        rule
    };
    let kinds = [
        ("exact", rolling(6)),
        ("coarse", rolling(60)),
        ("calendar", calendar(6)),
        ("bucket", bucket(6)),
    ];
    let gateway = bed
        .open(&limits(
            &kinds.map(|(name, rule)| (name, on(name, success(rule)))),
        ))
        .await;
    let client = gateway.client();
    for (name, quota) in [("exact", 6), ("coarse", 60), ("calendar", 6), ("bucket", 6)] {
        let call = of(&format!("/{name}/x"), ALPHA[0]);
        exactly(&client, &call, 2).await;
        assert_eq!(
            client.statuses(&call.clone().answered(503), 70).await,
            [503; 70],
            "{name}"
        );
        eventually("they are refunded", async || {
            (gateway
                .admin
                .metric("sluicegate_refunds_total", &[("limit", name)])
                .await
                == 70)
                .then_some(())
        })
        .await;
        assert_eq!(spend(&client, &call).await.0, quota - 2, "{name}");
    }
}

pub(crate) async fn a_token_that_is_also_an_api_key_is_counted_by_how_it_is_presented(
    bed: &TestBed,
) {
    let by = |credential: &str, quota: u64| {
        let mut limit = rolling(quota);
        (limit["per"], limit["absent"]) = (json!([credential]), json!("skip"));
        limit
    };
    let gateway = bed
        .open(&limits(&[
            ("by-token", by("token", 2)),
            ("by-key", by("api_key", 3)),
        ]))
        .await;
    let client = gateway.client();
    for _ in 0..2 {
        let (as_key, _) = spend(&client, &of("/x", ALPHA[0])).await;
        let (as_token, _) = spend(&client, &Call::get("/x").bearer(ALPHA[0])).await;
        let (other, _) = spend(&client, &Call::get("/x").bearer(ALPHA[1])).await;
        assert!(
            [(3, 2, 2), (0, 0, 0)].contains(&(as_key, as_token, other)),
            "{as_key}, {as_token}, {other}"
        );
    }
    assert_eq!(gateway.upstream.count("/x"), 7);
    // With both at once it is one caller, charged in both places.
    let both = of("/x", BETA).bearer(BETA);
    let (admitted, refusal) = until_refused(&client, &both).await;
    assert_eq!((admitted.len(), limit_and_left(&refusal)), (2, (2, 0)));
    assert_eq!(spend(&client, &of("/x", BETA)).await.0, 1);
}

pub(crate) async fn a_client_of_ipv6_has_one_window_in_all_of_its_network(bed: &TestBed) {
    let policy = Policy::named("attributes")
        .with("/callers/attributes/it", json!([{ "client_address": {} }]))
        .with(
            "/limits",
            json!([
                { "name": "rolling", "for": { "routes": ["/rolling"] }, "per": ["it"],
                  "rolling": { "quota": 3, "window": "1h" } },
                { "name": "calendar", "for": { "routes": ["/calendar"] }, "per": ["it"],
                  "calendar": calendar(3)["calendar"] },
            ]),
        );
    let trusting = Setup::of(&policy).edited(|listeners, _| {
        connection_manager(listeners)["xff_num_trusted_hops"] = json!(1);
    });
    let gateway = bed.open_with(trusting).await;
    let client = gateway.client();
    for path in ["/rolling", "/calendar"] {
        let addresses = [
            "2001:db8:0:1::1",
            "2001:db8:0:1:ffff::2",
            "2001:DB8:0:1:0:0:0:3",
            "2001:db8:0:1::1",
        ];
        let mut statuses = Vec::new();
        for address in addresses {
            statuses.push(
                client
                    .send(Call::get(path).header("x-forwarded-for", address))
                    .await
                    .status,
            );
        }
        assert_eq!(statuses, [200, 200, 200, 429], "{path}");
        for (address, status) in [
            ("2001:db8:0:2::1", 200),
            ("192.0.2.1", 200),
            ("203.0.113.1, 2001:db8:0:1::9", 429),
        ] {
            let answer = client
                .send(Call::get(path).header("x-forwarded-for", address))
                .await;
            assert_eq!(answer.status, status, "{path}: {address}");
        }
    }
}

pub(crate) async fn calendar_windows_end_as_their_zone_requires(bed: &TestBed) {
    const ZONES: [Tz; 7] = [
        Tz::UTC,
        Tz::Pacific__Kiritimati,
        Tz::Pacific__Pago_Pago,
        Tz::Asia__Kolkata,
        Tz::Europe__Rome,
        Tz::America__Los_Angeles,
        Tz::Australia__Lord_Howe,
    ];
    let windows = ["1h", "1d", "1w", "1mo", "3mo", "12mo"];
    let all: Vec<(Tz, &str)> = ZONES
        .into_iter()
        .flat_map(|zone| windows.map(|window| (zone, window)))
        .collect();
    let named = all.iter().enumerate().map(|(number, (zone, window))| {
        let rule = json!({ "calendar": { "quota": 1, "window": window, "zone": zone.name() } });
        (format!("limit-{number}"), on(&number.to_string(), rule))
    });
    let named: Vec<(String, Value)> = named.collect();
    let named: Vec<(&str, Value)> = named
        .iter()
        .map(|(name, limit)| (&**name, limit.clone()))
        .collect();
    let gateway = bed.open(&limits(&named)).await;
    let client = gateway.client();
    away_from_the_turn(Duration::from_secs(1_800), SECOND * 5).await;
    for (number, (zone, window)) in all.into_iter().enumerate() {
        let call = of(&format!("/{number}/x"), ALPHA[0]);
        exactly(&client, &call, 1).await;
        let refusal = client.send(call).await;
        let end = window_end_in(refusal.sent, zone, window);
        let reset = Duration::from_secs(refusal.number("x-ratelimit-reset").expect("a reset"));
        assert_eq!(
            (refusal.status, refusal.number("retry-after")),
            (429, Some(reset.as_secs()))
        );
        assert!(
            refusal.received + reset >= end,
            "{window} in {zone}: {reset:?} is too early for {end:?}"
        );
        assert!(
            refusal.sent + reset < end + SECOND,
            "{window} in {zone}: {reset:?} is too late for {end:?}"
        );
    }
}
