//! The callers of the presets: by a key, a token, a session, or two keys.

use serde_json::json;

use super::{attribute, decisions, field, found, limit, preset, reason, text};

#[test]
#[expect(clippy::too_many_lines, reason = "one table of cases")]
fn a_401_states_its_reason() {
    let path = ["--path", "/v2/things"];
    for (headers, reason, found_is, why) in [
        (
            &[][..],
            "absent",
            ["not_presented", "not_presented"],
            "no credential is presented",
        ),
        (
            &["-H", "Authorization: Bearer s3cr3t"],
            "unknown",
            ["unknown", "not_looked_at"],
            "the directory does not have this bearer",
        ),
        // Envoy joins these lines into one before any filter reads them.
        (
            &[
                "-H",
                "authorization: Bearer demo-acme-1",
                "-H",
                "Authorization: Bearer demo-acme-1",
            ],
            "unknown",
            ["unknown", "not_looked_at"],
            "the directory does not have this bearer",
        ),
        (
            &[
                "-H",
                "x-api-key: demo-acme-1",
                "-H",
                "X-API-Key: demo-acme-1",
            ],
            "ambiguous",
            ["not_presented", "ambiguous"],
            "api_key is presented twice: header x-api-key",
        ),
        (
            &[
                "-H",
                "x-api-key: demo-acme-1",
                "-H",
                "Authorization: Bearer demo-globex-1",
            ],
            "conflicting",
            ["known", "known"],
            "org is globex (the directory, for bearer) and acme (the directory, for api_key)",
        ),
    ] {
        let explanation = preset("enterprise-v2", &[&path[..], headers].concat());
        assert_eq!(
            explanation["callers"]["refused"],
            json!({ "reason": reason, "message": why })
        );
        assert_eq!(
            (text(&explanation["decision"]), found(&explanation)),
            ("refused", found_is.to_vec()),
            "{reason}"
        );
        assert_eq!(
            (
                &explanation["response"]["status"],
                &explanation["limits"],
                &explanation["not_applied"]
            ),
            (&json!(401), &json!([]), &json!([]))
        );
        let error = if reason == "absent" {
            ""
        } else {
            ", error=\"invalid_token\""
        };
        assert_eq!(
            field(&explanation, "www-authenticate"),
            format!("Bearer realm=\"enterprise-v2\"{error}")
        );
    }
}

#[test]
fn a_token_is_known_to_the_directory() {
    let token = preset(
        "dash0",
        &[
            "-X",
            "POST",
            "--path",
            "/api/alerts/7/test",
            "-H",
            "Authorization: Bearer demo-alice-1",
        ],
    );
    assert_eq!(
        decisions(&token),
        [
            "test-per-user: admitted",
            "test-per-org: admitted",
            "write-per-token: admitted"
        ]
    );
    assert_eq!(
        (text(&token["tier"]["name"]), text(&token["tier"]["route"])),
        ("test", "POST /api/**/test")
    );
    assert_eq!(
        (
            token["routes"].as_array().unwrap().len(),
            text(&token["routes"][0])
        ),
        (2, "POST /api/**/test")
    );
    assert_eq!(
        limit(&token, "write-per-token")["key"][0]["value"],
        "2edfd8eebd74397de51dc8b25c2c6f17"
    );
    assert_eq!(
        field(&token, "x-ratelimit-limit"),
        "10",
        "the limit with the fewest requests left"
    );
    assert_eq!(field(&token, "x-ratelimit-reset"), "1795600860");
}

/// The claims of a session that a filter verified.
const CLAIMS: &str = r#"{"envoy.filters.http.jwt_authn":{"session":{
        "iss":"id.acme","sub":"zoe","org":"acme","plan":"enterprise","region":"us-west"}}}"#;

#[test]
fn a_session_is_verified_by_an_earlier_filter() {
    let call = [
        "--path",
        "/api/boards",
        "-H",
        "Authorization: Bearer ey.J.wt",
        "--metadata",
        CLAIMS,
    ];
    let session = preset("dash0", &call);
    assert_eq!(found(&session), ["verified", "passed_over"]);
    assert_eq!(
        (
            attribute(&session, "credential"),
            attribute(&session, "user"),
            attribute(&session, "org")
        ),
        ("session", "zoe", "acme")
    );
    assert_eq!(
        decisions(&session),
        ["read-per-user: admitted", "read-per-org: admitted"]
    );
    assert_eq!(
        limit(&session, "read-per-user")["rule"],
        json!({ "rolling": { "quota": 12000, "window": "10s" } })
    );
    assert_eq!(
        limit(&session, "read-per-user")["override"],
        "/limits/0/overrides/0"
    );
    assert_eq!(
        (
            reason(&session, "read-per-token"),
            reason(&session, "write-per-token")
        ),
        ("key", "tier")
    );
    let from = &session["callers"]["attributes"]
        .as_array()
        .unwrap()
        .iter()
        .find(|it| it["name"] == "user")
        .unwrap()["from"];
    assert_eq!(
        from,
        "metadata [envoy.filters.http.jwt_authn, session, sub]"
    );
    assert_eq!(session["callers"]["missing"], json!(["token"]));
}

#[test]
fn a_session_and_a_token_of_two_users_conflict() {
    let carol = [
        "-H",
        "Authorization: Bearer demo-carol",
        "--path",
        "/api/boards",
        "--metadata",
        CLAIMS,
    ];
    let both = preset("dash0", &carol);
    assert_eq!(
        (text(&both["callers"]["refused"]["reason"]), found(&both)),
        ("conflicting", vec!["verified", "known"])
    );
    let printed = text(&both["callers"]["refused"]["message"]);
    assert_eq!(
        printed,
        "user is carol (the directory, for token) and zoe (metadata [envoy.filters.http.jwt_authn, \
         session, sub])"
    );
}

#[test]
fn two_keys_make_one_caller() {
    let keys = [
        "-H",
        "DD-API-KEY: demo-api-acme-1",
        "--path",
        "/api/v1/monitor?application_key=demo-app-alice",
    ];
    let both = preset("datadog", &keys);
    assert_eq!(
        found(&both),
        ["known", "not_presented", "not_presented", "known"]
    );
    assert_eq!(
        (
            attribute(&both, "org"),
            attribute(&both, "requester"),
            attribute(&both, "credential")
        ),
        ("acme", "alice", "api_key")
    );
    assert_eq!(
        limit(&both, "monitor_status")["key"],
        json!([{ "name": "requester", "value": "alice" }])
    );
    let rule =
        json!({ "calendar": { "quota": 120, "window": "1m", "zone": "UTC" }, "over": "refuse" });
    assert_eq!(limit(&both, "monitor_status")["rule"], rule);
    assert_eq!(
        (reason(&both, "events"), field(&both, "x-ratelimit-name")),
        ("routes", "monitor_status")
    );
}

#[test]
fn an_api_key_is_a_caller_without_an_application_key() {
    let alone = preset(
        "datadog",
        &[
            "-H",
            "dd-api-key: demo-api-acme-2",
            "--path",
            "/api/v1/monitor/5",
        ],
    );
    assert_eq!(attribute(&alone, "requester"), "api-2");
}

#[test]
fn two_keys_of_two_organizations_conflict() {
    let two = preset(
        "datadog",
        &[
            "-H",
            "dd-api-key: demo-api-globex",
            "--path",
            "/?application_key=demo-app-alice",
        ],
    );
    assert_eq!(
        two["callers"]["refused"]["message"],
        "org is globex (the directory, for api_key) and acme (the directory, for app_key)"
    );
}

#[test]
fn an_exempt_request_has_no_limit() {
    let metrics = preset(
        "datadog",
        &[
            "-X",
            "POST",
            "-H",
            "dd-api-key: demo-api-globex",
            "--path",
            "/api/v2/series",
        ],
    );
    assert_eq!(
        (
            &metrics["exempt"],
            &metrics["limits"],
            &metrics["not_applied"]
        ),
        (&json!("/exempt/0"), &json!([]), &json!([]))
    );
    assert_eq!(
        metrics["response"],
        json!({ "status": null, "fields": [], "body": null })
    );
}
