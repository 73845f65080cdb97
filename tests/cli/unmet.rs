//! The warnings of `check` about routes that no request of their limit matches, and about
//! placeholders of answers that never have a value.

use super::warnings::{RULE, warnings};

const NOTHING: &str =
    "this route excludes nothing: none of the requests that are selected matches it";

fn of(rest: &str) -> Vec<String> {
    let tiers = "tiers: [{ name: read, routes: [GET /v1/**] }]";
    warnings("directory: []", &format!("{tiers}\n{rest}"))
}

#[test]
fn a_route_that_excludes_nothing_is_reported() {
    let limit =
        |selector: &str| format!("limits: [{{ name: a, for: {selector}, per: [], {RULE} }}]");
    for selector in [
        "{ except: [/v1/a] }",
        "{ routes: [/v1/**], except: [GET /v1/a] }",
        "{ tier: read, except: [/**/a, GET /v1/b] }",
        "{ routes: [/v1/a, /v2/**], except: [/*/b] }",
    ] {
        assert_eq!(of(&limit(selector)), [""; 0], "{selector}");
    }
    for (selector, place) in [
        ("{ routes: [/v1/**], except: [/v1/a, /v2/a] }", 1),
        ("{ routes: [GET /v1/**], except: [POST /v1/a] }", 0),
        ("{ tier: read, except: [/v2/**] }", 0),
        ("{ tier: read, routes: [/*/a], except: [POST /v1/a] }", 0),
    ] {
        assert_eq!(
            of(&limit(selector)),
            [format!(
                "-:5: warning: /limits/0/for/except/{place}: {NOTHING}"
            )],
            "{selector}"
        );
    }
    assert_eq!(
        of(&format!(
            "exempt: [{{ routes: [/v1/**], except: [/v2/a] }}]\n{}",
            limit("{ routes: [/**] }")
        )),
        [format!("-:5: warning: /exempt/0/except/0: {NOTHING}")]
    );
    assert_eq!(
        of(
            "seats: [{ name: a, for: { tier: read, except: [/a] }, per: [], holder: api_key, \
            seats: 1, idle: 1s }]"
        ),
        [format!("-:5: warning: /seats/0/for/except/0: {NOTHING}")]
    );
}

#[test]
fn a_cost_that_no_request_has_is_reported() {
    let limit = |selector: &str, route: &str| {
        format!(
            "limits: [{{ name: a, {selector} per: [], {RULE}, cost: [{{ routes: [\"{route}\"], \
             units: 0 }}, {{ units: 1 }}] }}]"
        )
    };
    for (selector, route) in [
        ("", "HEAD /**"),
        ("for: { routes: [/v1/**] },", "HEAD /**"),
        ("for: { routes: [/v1/**], except: [/v1/a] },", "/v1/*"),
    ] {
        assert_eq!(of(&limit(selector, route)), [""; 0], "{selector} {route}");
    }
    let at = "-:5: warning: /limits/0/cost/0/routes/0: no request has this cost";
    for (selector, route) in [
        ("for: { routes: [/v1/**] },", "HEAD /v2/**"),
        ("for: { tier: read },", "POST /**"),
    ] {
        assert_eq!(
            of(&limit(selector, route)),
            [format!("{at}: the limit counts no request that matches it")]
        );
    }
    assert_eq!(
        of(&limit(
            "for: { routes: [/v1/**], except: [/v1/a/**] },",
            "/v1/a/b"
        )),
        [format!(
            "{at}: the limit excludes all requests that match it"
        )]
    );
}

#[test]
fn a_placeholder_of_an_answer_that_never_has_a_value_is_reported() {
    let seats = |refused: &str| {
        format!(
            "seats: [{{ name: a, per: [], holder: api_key, seats: 1, idle: 1s, refused: {refused} \
             }}]"
        )
    };
    let pool = |refused: &str| {
        format!("concurrency: [{{ name: a, per: [], slots: 1, refused: {refused} }}]")
    };
    let shared = |limit: &str, refused: &str| format!("{limit}\nreplies: {{ refused: {refused} }}");
    let limit = format!("limits: [{{ name: a, per: [], {RULE} }}]");
    let slots = "concurrency: [{ name: p, per: [], slots: 1 }]";
    let quiet = "{ headers: { x-a: '{retry_after} {limit}' } }";
    for rest in [
        seats(quiet),
        pool(quiet),
        pool("{ headers: { x-a: '{quota}' } }"),
        shared(&limit, "{ headers: { x-a: '{reset}' } }"),
        shared(slots, "{ headers: { x-a: '{used}' } }"),
    ] {
        assert_eq!(of(&rest), [""; 0], "{rest}");
    }
    let never = "a placeholder here never has a value";
    for (rest, at, why) in [
        (
            seats("{ headers: { x-a: '{quota}', x-b: '{label}' } }"),
            "5: warning: /seats/0/refused/headers/x-a",
            "a seat limit has no numbers",
        ),
        (
            pool("{ content_type: text/plain, body: 'in {reset}' }"),
            "5: warning: /concurrency/0/refused/body",
            "a pool has neither times nor an overage",
        ),
        (
            shared(slots, "{ headers: { x-a: '{reset}' } }"),
            "6: warning: /replies/refused/headers/x-a",
            "the policy has no limit that refuses, and a pool has no such number",
        ),
        (
            shared(&seats(quiet), "{ headers: { x-a: '{quota}' } }"),
            "6: warning: /replies/refused/headers/x-a",
            "the policy has no limit and no pool that refuses",
        ),
    ] {
        assert_eq!(of(&rest), [format!("-:{at}: {never}: {why}")], "{rest}");
    }
}
