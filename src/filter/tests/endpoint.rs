//! The endpoint at which callers read their own numbers.

use serde_json::{Value, json};

use super::proxy::{Pairs, Proxy};
use super::*;
use crate::base::property::Property;

/// The secrets are demo-acme-1 and demo-globex-1.
const POLICY: &str = r#"
version: 1
name: demo
callers:
  credentials:
    - { name: token, header: authorization, scheme: Bearer }
    - { name: key, query: api_key }
  directory:
    - { sha256: cd5d9af4ac9c9371182890c71242aa2b4e9ab957acd39aeeedae87b051314df8, org: acme,
        plan: free }
    - { sha256: a9991e8d52644519c2b358319c96da263bdbb1ff46efa0512737edd479d317ba, org: globex,
        plan: pro }
  attributes:
    ip: [{ client_address: {} }]
    thing: [{ path: "/things/{thing}" }]
  unknown: refuse
  absent: refuse
tiers: [{ name: writes, routes: ["POST /**"] }]
exempt: [{ org: globex, routes: [/free] }]
deny: [{ client_address: 192.0.2.0/24 }]
limits:
  - { name: guesses, for: { credential: refused }, per: [ip], rolling: { quota: 3, window: 1h },
      over: { lock: 5m } }
  - { name: monthly, label: "Per \"month\"", per: [org], calendar: { quota: 100, window: 1h },
      overrides: [{ for: { plan: pro }, quota: 1000 }] }
  - { name: trials, per: [org], rolling: { quota: 5, window: 1h },
      overrides: [{ for: { org: [acme, globex] }, quota: unlimited }] }
  - { name: burst, per: [token], bucket: { burst: 5, refill: 1/s } }
  - { name: by-host, per: [host], rolling: { quota: 50, window: 1m } }
  - { name: free, for: { plan: free, routes: [/things/**] }, per: [org],
      rolling: { quota: 9, window: 1m } }
  - { name: heavy, for: { tier: writes }, per: [org], cost: 4, bucket: { burst: 4, refill: 1/s } }
  - { name: thing, per: [org, thing], rolling: { quota: 7, window: 1m } }
  - { name: secret, per: [org], rolling: { quota: 2, window: 1m }, fields: hide }
  - { name: never, per: [org], rolling: { quota: 90, window: 1m }, fields: never }
  - { name: trial, per: [org], rolling: { quota: 1, window: 1m }, enforcement: shadow }
concurrency:
  - { name: slots, per: [org], slots: 3 }
seats:
  - { name: editors, for: { plan: pro }, per: [], holder: org, seats: 2, idle: 1m }
replies:
  endpoint: { path: /rate_limit }
access_log: { attributes: [org] }
"#;

const ACME: (&str, &[u8]) = ("authorization", b"Bearer demo-acme-1");
const GLOBEX: (&str, &[u8]) = ("authorization", b"Bearer demo-globex-1");

/// The status, and the headers and the body if the gateway answers.
fn sent(
    proxy: &Proxy,
    runtime: &Rc<Runtime<Proxy>>,
    (method, path): (&str, &str),
    pairs: Pairs<'_>,
) -> (u32, Vec<(String, String)>, String) {
    let head = [
        (":method", method.as_bytes()),
        (":path", path.as_bytes()),
        (":authority", b"API.example.com:443"),
    ];
    let (mut stream, _) = proxy.send(runtime, &[&head, pairs].concat());
    let reply = proxy.replies.borrow_mut().pop();
    stream.on_end(proxy);
    match reply {
        Some(reply) => {
            let headers = reply.headers.into_iter();
            let headers = headers.map(|(name, value)| (name.into_owned(), value));
            (reply.status, headers.collect(), reply.body)
        }
        None => (200, Vec::new(), String::new()),
    }
}

/// The endpoint's answer to this query.
fn asked(proxy: &Proxy, runtime: &Rc<Runtime<Proxy>>, query: &str, pairs: Pairs<'_>) -> Value {
    let path = format!("/rate_limit{query}");
    let (status, headers, body) = sent(proxy, runtime, ("GET", &path), pairs);
    assert_eq!(status, 200, "{query} {body}");
    let expected = [
        ("cache-control", "no-store"),
        ("content-type", "application/json"),
    ];
    let expected = expected.map(|(name, value)| (name.to_owned(), value.to_owned()));
    assert_eq!(headers, expected, "no field of a limit");
    serde_json::from_str(&body).unwrap_or_else(|why| panic!("{why}: {body}"))
}

fn names(answer: &Value) -> Vec<&str> {
    let limits = answer["limits"].as_array().unwrap().iter();
    limits
        .map(|limit| limit["name"].as_str().unwrap())
        .collect()
}

fn new() -> (Proxy, Rc<Runtime<Proxy>>) {
    let proxy = Proxy::new();
    proxy.know(Property::SourceAddress, b"198.51.100.1:1".to_vec());
    let runtime = proxy.runtime(POLICY);
    (proxy, runtime)
}

#[test]
fn it_lists_the_limits_that_follow_from_the_caller_alone() {
    let (proxy, runtime) = new();
    let start = asked(&proxy, &runtime, "", &[ACME]);
    assert_eq!(names(&start), ["monthly", "burst", "by-host"]);
    assert_eq!(start["ask"], json!(["free", "heavy", "thing", "slots"]));
    assert_eq!(start["admitted"], Value::Null);
    assert_eq!(
        start["limits"][0],
        json!({
            "name": "monthly", "label": "Per \"month\"", "per": { "org": "acme" }, "quota": 100,
            "window": 3600, "remaining": 100, "used": 0, "more": 2800, "reset": 2800,
        })
    );
    assert_eq!(
        start["limits"][2]["per"],
        json!({ "host": "api.example.com" })
    );
    // It creates no record, and charges nothing.
    let empty = proxy.data.map.borrow().values.clone();
    for _ in 0..9 {
        assert_eq!(
            asked(&proxy, &runtime, "", &[ACME])["limits"],
            start["limits"]
        );
        asked(&proxy, &runtime, "?path=/things/1&method=POST", &[ACME]);
    }
    assert_eq!(proxy.data.map.borrow().values, empty);
    for _ in 0..2 {
        sent(&proxy, &runtime, ("GET", "/a"), &[ACME]);
    }
    let after = asked(&proxy, &runtime, "", &[ACME]);
    assert_eq!(after["limits"][0]["remaining"], 98);
    assert_eq!(after["limits"][0]["used"], 2);
    assert_eq!(after["limits"][1]["remaining"], 3);
    assert_eq!(after["limits"][1]["more"], 1);
    assert_eq!(after["limits"][1]["reset"], 2);
    // Another caller has other numbers, and other limits may apply to it.
    let other = asked(&proxy, &runtime, "", &[GLOBEX]);
    assert_eq!(other["limits"][0]["quota"], 1000);
    assert_eq!(other["limits"][0]["remaining"], 1000);
    assert_eq!(other["limits"][0]["per"], json!({ "org": "globex" }));
    assert_eq!(other["ask"], json!(["heavy", "thing", "slots", "editors"]));
    let identifier = other["limits"][1]["per"]["token"].as_str().unwrap();
    assert_eq!(identifier.len(), 32, "never the secret");
    let answered = "policy=.=demo;.;limit=.=-;.;decision=.=answered;.;sluicegate_requests_total";
    assert_eq!(proxy.count(answered), 21);
    assert_eq!(
        proxy.take_line().as_deref(),
        Some("decision=answered limit=- tier=- org=globex")
    );
}

#[test]
fn it_answers_for_one_request() {
    let (proxy, runtime) = new();
    let ask = |query: &str| asked(&proxy, &runtime, query, &[ACME]);
    let write = "?method=POST&path=/things/7";
    let first = ask(write);
    let all = ["monthly", "burst", "by-host", "free", "heavy", "thing"];
    assert_eq!(names(&first), all);
    assert_eq!(
        first["limits"][5]["per"],
        json!({ "org": "acme", "thing": "7" })
    );
    assert_eq!(first["ask"], json!(["slots"]));
    assert_eq!(first["admitted"], true);
    assert_eq!(first["retry_after"], Value::Null);
    // The method is GET if only the path is given, and the query of the path is the request's.
    let read = ask("?path=/things/7%3Fa=b");
    assert_eq!(
        names(&read),
        ["monthly", "burst", "by-host", "free", "thing"]
    );
    let (status, ..) = sent(&proxy, &runtime, ("POST", "/things/7"), &[ACME]);
    assert_eq!(status, 200);
    // Its cost of 4 does not fit until four units are back.
    let second = ask(write);
    assert_eq!(second["admitted"], false);
    assert_eq!(second["retry_after"], 4);
    assert_eq!(second["limits"][4]["remaining"], 0);
    assert_eq!(second["limits"][5]["used"], 1);
    let (status, headers, _) = sent(&proxy, &runtime, ("POST", "/things/7"), &[ACME]);
    assert_eq!(status, 429, "as it would be");
    assert!(headers.contains(&("retry-after".to_owned(), "4".to_owned())));
    // A hidden limit refuses, and is not named.
    sent(&proxy, &runtime, ("GET", "/a"), &[ACME]);
    let hidden = ask("?path=/a");
    assert_eq!(hidden["admitted"], false);
    assert_eq!(hidden["retry_after"], 60);
    assert!(!hidden.to_string().contains("secret"));
    // An exempt request has no limit, and a path without a safe reading is refused.
    let exempt = asked(&proxy, &runtime, "?path=/free", &[GLOBEX]);
    assert_eq!(
        (names(&exempt), &exempt["admitted"]),
        (vec![], &json!(true))
    );
    let unsafe_path = asked(&proxy, &runtime, "?path=/a%252e%252e/%25zz%2500", &[GLOBEX]);
    assert_eq!(unsafe_path["admitted"], false, "{unsafe_path}");
}

#[test]
fn other_requests_get_what_they_would_get_elsewhere() {
    let (proxy, runtime) = new();
    for (method, path, pairs, status) in [
        ("GET", "/rate_limit", &[][..], 401),
        ("HEAD", "/rate_limit", &[ACME], 200),
        ("POST", "/rate_limit", &[ACME], 405),
        ("OPTIONS", "/rate_limit?path=/a", &[ACME], 405),
        ("GET", "/rate_limit?path=a", &[ACME], 400),
        ("GET", "/rate_limit?method=PUT", &[ACME], 400),
        // As a route matches.
        ("GET", "//rate%5flimit/", &[ACME], 200),
    ] {
        let (found, headers, body) = sent(&proxy, &runtime, (method, path), pairs);
        assert_eq!(found, status, "{method} {path}");
        let allow = headers.iter().find(|(name, _)| name == "allow");
        assert_eq!(allow.is_some(), status == 405, "{method} {path}");
        if status != 200 {
            let problem: Value = serde_json::from_str(&body).unwrap();
            assert_eq!(problem["status"], status, "{body}");
        }
    }
    // Elsewhere the path is an ordinary one.
    let (status, _, body) = sent(&proxy, &runtime, ("GET", "/rate_limit/a"), &[ACME]);
    assert_eq!((status, &*body), (200, ""));
    let grpc = [ACME, ("content-type", b"application/grpc")];
    proxy.send(
        &runtime,
        &[
            &[(":method", &b"POST"[..]), (":path", b"/rate_limit")],
            &grpc[..],
        ]
        .concat(),
    );
    let reply = proxy.replies.borrow_mut().pop().unwrap();
    assert_eq!(reply.grpc_status, GrpcStatus::Unimplemented);
    proxy.know(Property::SourceAddress, b"192.0.2.1:1".to_vec());
    let (status, ..) = sent(&proxy, &runtime, ("GET", "/rate_limit"), &[ACME]);
    assert_eq!(status, 403);
}

#[test]
fn nobody_can_try_secrets_at_the_endpoint() {
    let proxy = Proxy::new();
    proxy.know(Property::SourceAddress, b"198.51.100.1:1".to_vec());
    // Callers are identified under /private alone, so that the endpoint itself identifies no
    // caller.
    let open = proxy.runtime(&POLICY.replacen(
        "callers:\n",
        "callers:\n  for: { routes: [/private/**] }\n",
        1,
    ));
    let guess = |secret: &str| {
        let path = format!("/rate_limit?path=/private/a%3Fapi_key={secret}");
        sent(&proxy, &open, ("GET", &path), &[]).0
    };
    assert_eq!(guess("demo-acme-1"), 200);
    assert_eq!(
        [(); 4].map(|()| guess("wrong")),
        [401, 401, 401, 429],
        "each counts"
    );
    // The key is locked, with an accepted secret, too.
    assert_eq!(guess("demo-acme-1"), 429);
    // Of a credential of the caller's and one in the path, both are known: two credentials.
    let (proxy, runtime) = new();
    let path = "/rate_limit?path=/a%3Fapi_key=demo-globex-1";
    let (status, ..) = sent(&proxy, &runtime, ("GET", path), &[ACME]);
    assert_eq!(status, 401);
}

#[test]
fn a_locked_limit_shows_the_lock() {
    let proxy = Proxy::new();
    let runtime = proxy.runtime(
        "version: 1\nname: demo\nlimits:\n  - { name: one, per: [], bucket: { burst: 1, refill: \
         60/min }, over: { lock: 5m } }\nreplies: { endpoint: { path: /limits } }\n",
    );
    for status in [200, 429] {
        assert_eq!(sent(&proxy, &runtime, ("GET", "/a"), &[]).0, status);
    }
    proxy.wait(100);
    let answer = |query: &str| {
        let (_, _, body) = sent(&proxy, &runtime, ("GET", &format!("/limits{query}")), &[]);
        serde_json::from_str::<Value>(&body).unwrap()
    };
    let own = answer("");
    assert_eq!(own["limits"][0]["remaining"], 0);
    assert_eq!(own["limits"][0]["reset"], 200);
    let asked = answer("?path=/a");
    assert_eq!(
        (&asked["admitted"], &asked["retry_after"]),
        (&json!(false), &json!(200))
    );
}
