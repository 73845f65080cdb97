//! The callers of the preset datadog: users, API keys and organizations (DD2, DD5).

use super::datadog::{
    ACME, ALICE, CAROL, CI, GLOBEX, HOUR, MINUTE, ROOM, by_user, event, keyed, limit_fields,
    monitor, preset, validate,
};
use super::promises::away_from_the_turn;
use super::{exactly, spend, until_refused};
use crate::harness::{Call, TestBed};
use serde_json::{Value, json};

pub(crate) async fn each_user_has_a_budget_of_their_own(bed: &TestBed) {
    let gateway = bed.open(&preset()).await;
    away_from_the_turn(MINUTE, ROOM).await;
    let client = gateway.client();
    // A user has one budget, whichever key of the organization and whichever monitor the request
    // names.
    exactly(&client, &by_user(monitor(), ACME[0], ALICE), 50).await;
    exactly(
        &client,
        &by_user(Call::get("/api/v1/monitor/7"), ACME[1], ALICE),
        50,
    )
    .await;
    exactly(
        &client,
        &by_user(
            Call::get("/api/v1/monitor/8?group_states=all"),
            ACME[0],
            ALICE,
        ),
        20,
    )
    .await;
    for call in [monitor(), Call::get("/api/v1/monitor/9")] {
        let refusal = client.send(by_user(call, ACME[0], ALICE)).await;
        assert_eq!(
            (refusal.status, limit_fields(&refusal)),
            (429, (120, 60, 0, "monitor_status"))
        );
    }
    // A service account is a user. Without one, the API key counts.
    for call in [
        by_user(monitor(), ACME[0], CI),
        by_user(monitor(), GLOBEX, CAROL),
    ] {
        assert_eq!(spend(&client, &call).await.0, 120);
    }
    assert_eq!(
        limit_fields(&client.send(keyed(monitor(), ACME[0])).await),
        (120, 60, 119, "monitor_status")
    );
    assert_eq!(
        limit_fields(&client.send(keyed(monitor(), ACME[1])).await),
        (120, 60, 119, "monitor_status")
    );
}

pub(crate) async fn each_api_key_has_a_budget_of_its_own_in_header_and_query(bed: &TestBed) {
    let policy = preset().limiting(
        "validate",
        "calendar",
        json!({ "quota": 6, "window": "1h" }),
    );
    let gateway = bed.open(&policy).await;
    away_from_the_turn(HOUR, ROOM).await;
    let client = gateway.client();
    let by_query = |key: &str| Call::get(&format!("/api/v1/validate?api_key={key}"));
    exactly(&client, &keyed(validate(), ACME[0]), 2).await;
    exactly(&client, &by_query(ACME[0]), 2).await;
    // The same key in both places is one key.
    exactly(&client, &keyed(by_query(ACME[0]), ACME[0]), 1).await;
    let with_app_key = Call::get(&format!(
        "/api/v1/validate?api_key={}&application_key={ALICE}",
        ACME[0]
    ));
    exactly(&client, &with_app_key, 1).await;
    for call in [
        keyed(validate(), ACME[0]),
        by_query(ACME[0]),
        keyed(by_query(ACME[0]), ACME[0]),
        with_app_key,
    ] {
        let refusal = client.send(call).await;
        assert_eq!(
            (refusal.status, limit_fields(&refusal)),
            (429, (6, 3_600, 0, "validate"))
        );
    }
    let (other, _) = spend(&client, &by_query(ACME[1])).await;
    assert_eq!(other, 6, "another key of the organization");
    // Two keys are two callers, so the request has no single caller.
    for call in [
        keyed(by_query(ACME[0]), ACME[1]),
        keyed(by_query(GLOBEX), ACME[0]),
        Call::get(&format!(
            "/api/v1/validate?api_key={GLOBEX}&api_key={GLOBEX}"
        )),
        keyed(keyed(validate(), GLOBEX), GLOBEX),
    ] {
        assert_eq!(client.send(call).await.status, 401);
    }
    assert_eq!(spend(&client, &keyed(validate(), GLOBEX)).await.0, 6);
}

pub(crate) async fn a_pair_of_two_organizations_is_refused(bed: &TestBed) {
    let gateway = bed.open(&preset()).await;
    away_from_the_turn(MINUTE, ROOM).await;
    let client = gateway.client();
    for (api_key, app_key) in [
        (ACME[0], CAROL),
        (GLOBEX, ALICE),
        (GLOBEX, CI),
        (ACME[1], "nobody's"),
        ("nobody's", ALICE),
    ] {
        let by_query = format!("/api/v1/monitor?api_key={api_key}&application_key={app_key}");
        for call in [by_user(monitor(), api_key, app_key), Call::get(&by_query)] {
            let answer = client.send(call).await;
            assert_eq!(
                (answer.status, answer.header("content-type")),
                (401, Some("application/json"))
            );
            assert!(
                answer.header("www-authenticate").is_some(),
                "{:?}",
                answer.headers
            );
            let body: Value = serde_json::from_slice(&answer.body).expect("JSON");
            assert_eq!(body, json!({ "errors": ["Unauthorized"] }));
        }
    }
    assert_eq!(gateway.upstream.count("/"), 0);
    for (api_key, app_key) in [(ACME[0], ALICE), (GLOBEX, CAROL)] {
        let answer = client.send(by_user(monitor(), api_key, app_key)).await;
        assert_eq!(
            limit_fields(&answer),
            (120, 60, 119, "monitor_status"),
            "no caller was charged"
        );
    }
}

pub(crate) async fn a_limit_is_raised_for_one_organization_and_keeps_its_counts(bed: &TestBed) {
    let policy = preset().limiting("events", "calendar", json!({ "quota": 5, "window": "1h" }));
    let gateway = bed.open(&policy).await;
    away_from_the_turn(HOUR, ROOM * 2).await;
    assert_eq!(
        spend(&gateway.client(), &keyed(event(), ACME[0])).await.0,
        5
    );
    exactly(&gateway.client(), &keyed(event(), GLOBEX), 2).await;
    for (quota, further) in [(8, 3), (4, 0), (9, 1)] {
        let raised = json!([{ "for": { "org": "acme" }, "quota": quota }]);
        gateway
            .update(&policy.clone().limiting("events", "overrides", raised))
            .await
            .expect("a good policy");
        let (spent, refusal) = until_refused(&gateway.client(), &keyed(event(), ACME[1])).await;
        assert_eq!(
            (spent.len(), limit_fields(&refusal)),
            (further, (quota, 3_600, 0, "events"))
        );
    }
    let (others, refusal) = until_refused(&gateway.client(), &keyed(event(), GLOBEX)).await;
    assert_eq!(
        (others.len(), limit_fields(&refusal)),
        (3, (5, 3_600, 0, "events")),
        "no other limit changed"
    );
}
