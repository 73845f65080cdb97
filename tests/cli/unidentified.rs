//! The warnings about requests whose callers are not identified.

use super::warnings::{DIRECTORY, RULE, warnings};

/// Keys of `callers` that identify only some requests, with an attribute for all.
fn some_callers() -> String {
    format!(
        "for: {{ routes: [/v2/**, \"GET /v3/**\", \"POST /v3/**\"] }}, directory: {DIRECTORY}, \
         attributes: {{ ip: [{{ client_address: {{}} }}] }}"
    )
}

/// The warning about an attribute that no request of a limit has.
fn outside(name: &str, so: &str) -> String {
    format!(
        "callers are not identified on its routes (`callers.for`), and no request there \
         has \"{name}\": {so}"
    )
}

/// The warning about an attribute that some requests of a limit lack.
fn partly(name: &str) -> String {
    format!(
        "this limit also counts requests outside of `callers.for`, where no request has \
         \"{name}\": such requests share one counter; give this limit `for: {{ routes: […] }}` \
         within `callers.for`, or other attributes in `per`"
    )
}

const SHARED: &str = "all of its requests share one counter";

const NEVER: &str = "this limit never applies";

#[test]
fn an_attribute_of_unidentified_callers_is_reported_for_limits() {
    let callers = some_callers();
    for (limit, expected) in [
        ("per: [org]", vec![("per/0", partly("org"))]),
        ("per: [ip, api_key]", vec![("per/1", partly("api_key"))]),
        ("per: [credential]", vec![("per/0", partly("credential"))]),
        ("per: [ip]", vec![]),
        ("per: []", vec![]),
        ("per: [org], absent: skip", vec![]),
        ("per: [org], for: { plan: free }", vec![]),
        ("per: [org], for: { tier: v2 }", vec![]),
        ("per: [org], for: { tier: v2, routes: [/**] }", vec![]),
        (
            "per: [org], for: { tier: post }",
            vec![("per/0", partly("org"))],
        ),
        (
            "per: [org], for: { tier: [v2, post] }",
            vec![("per/0", partly("org"))],
        ),
        (
            "per: [org], for: { routes: [/v2/a, \"GET,POST /v3/**\"] }",
            vec![],
        ),
        (
            "per: [org], for: { routes: [/v3/**] }",
            vec![("per/0", partly("org"))],
        ),
        (
            "per: [org], for: { routes: [/v1/**, /health] }",
            vec![("per/0", outside("org", SHARED))],
        ),
        (
            "per: [org], for: { routes: [/v1/**] }, absent: skip",
            vec![("per/0", outside("org", NEVER))],
        ),
        (
            "per: [], for: { routes: [/v1/**], plan: free }",
            vec![("for/plan", outside("plan", NEVER))],
        ),
        ("per: [org], for: { routes: [/open/**] }", vec![]),
    ] {
        let tiers = "exempt: [{ routes: [/open/a] }, { routes: [/open/**], ip: 192.0.2.7 }]\n\
                     tiers: [{ name: v2, routes: [/v2/**] }, { name: post, routes: [\"POST /**\"] \
                     }]\n";
        let rest = format!("{tiers}limits: [{{ name: one, {limit}, {RULE} }}]");
        let expected: Vec<String> = expected
            .iter()
            .map(|(at, text)| format!("-:6: warning: /limits/0/{at}: {text}"))
            .collect();
        let expected = if limit.contains("/open/**") {
            vec![format!(
                "-:6: warning: /limits/0/per/0: {}",
                outside("org", SHARED)
            )]
        } else {
            expected
        };
        assert_eq!(warnings(&callers, &rest), expected, "{limit}");
    }
}

#[test]
fn an_attribute_of_unidentified_callers_is_reported_for_all_other_kinds() {
    let callers = some_callers();
    for (rest, at, text) in [
        (
            "concurrency: [{ name: a, per: [org], slots: 1 }]",
            "/concurrency/0/per/0",
            partly("org"),
        ),
        (
            "seats: [{ name: a, per: [], holder: org, seats: 1, idle: 1m, for: { routes: [/v1] } \
             }]",
            "/seats/0/holder",
            outside("org", NEVER),
        ),
        (
            "seats: [{ name: a, per: [org], holder: ip, seats: 1, idle: 1m }]",
            "/seats/0/per/0",
            partly("org"),
        ),
        (
            "payloads: [{ bytes: 1MB, for: { routes: [/v1], org: acme } }]",
            "/payloads/0/for/org",
            outside("org", NEVER),
        ),
        (
            "payloads: [{ bytes: 1MB, for: { routes: [/v1] }, overrides: [{ for: { org: acme }, \
             bytes: 2MB }] }]",
            "/payloads/0/overrides/0/for/org",
            outside("org", "this override never applies"),
        ),
        (
            "payloads: [{ bytes: 1MB }]\nexempt: [{ routes: [/v1], org: acme }]",
            "/exempt/0/org",
            outside("org", "this exemption never applies"),
        ),
    ] {
        let found = warnings(&callers, rest);
        assert_eq!(found.len(), 1, "{rest}: {found:#?}");
        assert!(
            found[0].ends_with(&format!(": warning: {at}: {text}")),
            "{rest}: {found:#?}"
        );
    }
    assert_eq!(
        warnings(
            &callers,
            "seats: [{ name: a, per: [], holder: org, seats: 1, idle: 1m }]"
        ),
        [""; 0]
    );
}
