//! Questions of operators about one caller.

use serde_json::{Value, json};

use super::proxy::{Pairs, Proxy};
use super::*;
use crate::base::property::Property;
use crate::host::fake::message::metadata;

/// The secrets are demo-acme-1 and demo-globex-1.
const POLICY: &str = r#"
version: 1
name: demo
callers:
  credentials: [{ name: token, header: authorization, scheme: Bearer }]
  directory:
    - { sha256: cd5d9af4ac9c9371182890c71242aa2b4e9ab957acd39aeeedae87b051314df8, org: acme,
        plan: free, own: "30" }
    - { sha256: a9991e8d52644519c2b358319c96da263bdbb1ff46efa0512737edd479d317ba, org: globex,
        plan: pro }
  attributes:
    ip: [{ client_address: {} }]
    user: [{ header: x-user, trusted: true }]
  unknown: refuse
  absent: refuse
tiers: [{ name: writes, routes: ["POST /**"] }]
limits:
  - { name: guesses, for: { credential: refused }, per: [ip], rolling: { quota: 2, window: 1h },
      over: { lock: 5m } }
  - { name: monthly, per: [org], calendar: { quota: 100, window: 1h }, fields: never,
      overrides: [{ for: { plan: pro }, quota: 1000 }] }
  - { name: trials, per: [org], rolling: { quota: 5, window: 1h }, enforcement: shadow,
      overrides: [{ for: { plan: pro }, quota: unlimited }] }
  - { name: own, per: [org], rolling: { quota: { attribute: own, else: 9, at_most: 50 },
      window: 1h } }
  - { name: free, for: { plan: free, routes: [/things/**] }, per: [org], cost: 3,
      rolling: { quota: 9, window: 1h } }
  - { name: thing, for: { routes: ["/things/{thing}"] }, per: [org, thing],
      rolling: { quota: 7, window: 1h } }
  - { name: words, for: { tier: writes }, per: [tier, method, route, host],
      bucket: { burst: 4, refill: 1/h } }
  - { name: person, per: [user], absent: skip, rolling: { quota: 8, window: 1h } }
concurrency:
  - { name: slots, per: [org], slots: 3, overrides: [{ for: { org: big }, slots: 9 }] }
seats:
  - { name: editors, per: [org], holder: user, seats: 2, idle: 1d }
access_log: { attributes: [org, plan] }
"#;

const ACME: (&str, &[u8]) = ("authorization", b"Bearer demo-acme-1");
const ALL: &str = "org=acme&plan=free&own=30&thing=7&tier=writes&method=POST&route=POST%20/**\
                   &host=api.example.com&user=ann&ip=198.51.100.1&credential=token";

struct Gateway {
    proxy: Proxy,
    runtime: Rc<Runtime<Proxy>>,
}

impl Gateway {
    fn new() -> Self {
        let proxy = Proxy::new();
        proxy.know(Property::SourceAddress, b"198.51.100.1:1".to_vec());
        let runtime = proxy.runtime(POLICY);
        Self { proxy, runtime }
    }

    /// A request through the gateway's own listener.
    fn send(&self, method: &str, path: &str, pairs: Pairs<'_>) -> (Stream<Proxy>, Flow) {
        self.proxy.know(Property::RouteMetadata, Vec::new());
        self.ask_somewhere(method, path, pairs)
    }

    fn ask_somewhere(&self, method: &str, path: &str, pairs: Pairs<'_>) -> (Stream<Proxy>, Flow) {
        let head = [
            (":method", method.as_bytes()),
            (":path", path.as_bytes()),
            (":authority", b"api.example.com"),
        ];
        self.proxy.send(&self.runtime, &[&head, pairs].concat())
    }

    /// A question at the operators' listener: the status and the body.
    fn ask(&self, method: &str, rest: &str) -> (u32, Value) {
        let role = json!({ "sluicegate": { "role": "operator" } });
        self.proxy.know(Property::RouteMetadata, metadata(&role));
        let path = format!("/sluicegate/limits{rest}");
        let (mut stream, flow) = self.ask_somewhere(method, &path, &[]);
        assert_eq!(flow, Flow::Stop, "{rest}");
        let reply = self.proxy.replies.borrow_mut().pop().unwrap();
        stream.on_end(&self.proxy);
        let body =
            serde_json::from_str(&reply.body).unwrap_or_else(|why| panic!("{why}: {reply:?}"));
        (reply.status, body)
    }

    /// The numbers of one limit.
    fn limit(&self, name: &str) -> Value {
        let (status, answer) = self.ask("GET", &format!("/{name}?{ALL}"));
        assert_eq!(status, 200, "{name}: {answer}");
        let lists = ["limits", "seats", "concurrency"].map(|list| answer[list].as_array().unwrap());
        let all: Vec<&Value> = lists.into_iter().flatten().collect();
        assert_eq!(all.len(), 1, "{answer}");
        all[0].clone()
    }

    fn resets(&self) -> u64 {
        self.proxy.count("policy=.=demo;.;sluicegate_resets_total")
    }
}

#[test]
fn all_limits_of_a_caller_are_shown_with_their_numbers() {
    let gateway = Gateway::new();
    let (mut first, _) = gateway.send("POST", "/things/7", &[ACME, ("x-user", b"ann")]);
    let before = gateway.proxy.data.map.borrow().values.clone();
    let (status, answer) = gateway.ask("GET", &format!("?{ALL}"));
    assert_eq!(status, 200);
    assert_eq!(
        gateway.proxy.data.map.borrow().values,
        before,
        "a look changes nothing"
    );
    let used: Vec<(&str, u64, u64)> = answer["limits"]
        .as_array()
        .unwrap()
        .iter()
        .map(|limit| {
            let number = |name: &str| limit[name].as_u64().unwrap();
            (
                limit["name"].as_str().unwrap(),
                number("used"),
                number("quota"),
            )
        })
        .collect();
    let expected = [
        ("guesses", 0, 2),
        ("monthly", 1, 100),
        ("trials", 1, 5),
        ("own", 1, 30),
        ("free", 3, 9),
        ("thing", 1, 7),
        ("words", 1, 4),
        ("person", 1, 8),
    ];
    assert_eq!(used, expected);
    assert_eq!(answer["limits"][2]["enforcement"], "shadow");
    assert_eq!(answer["seats"][0]["free"], 1);
    assert_eq!(
        answer["concurrency"],
        json!([{ "name": "slots", "label": "slots", "per": { "org": "acme" }, "slots": 3,
                 "free": 2, "waiting": 0 }])
    );
    assert_eq!(
        (&answer["policy"], &answer["needs"]),
        (&json!("demo"), &json!({}))
    );
    first.on_end(&gateway.proxy);
    assert_eq!(gateway.limit("slots")["free"], 3);
    assert_eq!(
        gateway.proxy.take_line().unwrap(),
        "decision=answered limit=slots tier=- org=acme plan=free"
    );
}

#[test]
fn a_limit_that_depends_on_more_is_named_with_what_it_needs() {
    let gateway = Gateway::new();
    let (_, answer) = gateway.ask("GET", "?org=acme&user=");
    assert_eq!(answer["limits"], json!([]));
    assert_eq!(
        answer["needs"],
        json!({
            "guesses": ["ip"], "monthly": ["plan"], "trials": ["plan"], "own": ["own"],
            "free": ["plan"], "thing": ["thing"], "words": ["tier", "method", "route", "host"],
        })
    );
    assert_eq!(answer["seats"][0]["per"], json!({ "org": "acme" }));
    assert_eq!(answer["concurrency"][0]["slots"], 3);
    // An empty value is that of a caller without one.
    let (_, answer) = gateway.ask("GET", "/monthly?org=&plan=");
    assert_eq!(answer["limits"][0]["per"], json!({ "org": null }));
    // What does not apply to such a caller is left out.
    let (_, answer) = gateway.ask("GET", "?org=globex&plan=pro&own=&user=");
    let names = answer["limits"].as_array().unwrap().iter();
    let names: Vec<&Value> = names.map(|limit| &limit["name"]).collect();
    assert_eq!(names, ["monthly", "own"]);
    assert_eq!(answer["limits"][0]["quota"], 1000);
    assert_eq!(answer["limits"][1]["quota"], 9);
}

#[test]
fn a_reset_begins_one_counter_of_one_caller_anew() {
    let gateway = Gateway::new();
    let globex = ("authorization", &b"Bearer demo-globex-1"[..]);
    for _ in 0..3 {
        gateway
            .send("GET", "/things/7", &[ACME])
            .0
            .on_end(&gateway.proxy);
        gateway
            .send("GET", "/things/7", &[globex])
            .0
            .on_end(&gateway.proxy);
    }
    assert_eq!(
        gateway.send("GET", "/things/7", &[ACME]).1,
        Flow::Stop,
        "free is used up"
    );
    let (status, answer) = gateway.ask("DELETE", "/free?org=acme&plan=free");
    assert_eq!((status, &answer["reset"]), (200, &json!(true)));
    assert_eq!(answer["limits"][0]["remaining"], 9);
    let line = gateway.proxy.take_line().unwrap();
    assert_eq!(line, "decision=reset limit=free tier=- org=acme plan=free");
    assert_eq!(gateway.resets(), 1);
    assert_eq!(gateway.limit("monthly")["used"], 3, "no other limit");
    let (_, other) = gateway.ask("GET", "/monthly?org=globex&plan=pro");
    assert_eq!(other["limits"][0]["used"], 3, "no other caller");
    assert_eq!(gateway.send("GET", "/things/7", &[ACME]).1, Flow::Continue);
    // Again, and once there is nothing.
    let keys = || gateway.proxy.count("policy=.=demo;.;sluicegate_keys");
    let before = keys();
    for existed in [true, false] {
        let (_, answer) = gateway.ask("DELETE", "/free?org=acme&plan=free");
        assert_eq!((&answer["reset"], keys()), (&json!(existed), before - 1));
    }
}

#[test]
fn a_reset_ends_a_lock_and_frees_seats() {
    let gateway = Gateway::new();
    let guess = ("authorization", &b"Bearer guess"[..]);
    for _ in 0..3 {
        assert_eq!(gateway.send("GET", "/", &[guess]).1, Flow::Stop);
    }
    let (_, answer) = gateway.ask("GET", "/guesses?ip=198.51.100.1");
    assert_eq!(answer["limits"][0]["locked"], true);
    assert_eq!(gateway.send("GET", "/", &[ACME]).1, Flow::Stop, "locked");
    gateway.proxy.replies.borrow_mut().clear();
    let (_, answer) = gateway.ask("DELETE", "/guesses?ip=198.51.100.1");
    assert_eq!(
        (&answer["reset"], &answer["limits"][0]["locked"]),
        (&json!(true), &Value::Null)
    );
    assert_eq!(gateway.send("GET", "/", &[ACME]).1, Flow::Continue);

    for user in [&b"ann"[..], b"bob"] {
        gateway
            .send("GET", "/", &[ACME, ("x-user", user)])
            .0
            .on_end(&gateway.proxy);
    }
    let carol: Pairs<'_> = &[ACME, ("x-user", b"carol")];
    assert_eq!(gateway.send("GET", "/", carol).1, Flow::Stop);
    gateway.proxy.replies.borrow_mut().clear();
    let (_, answer) = gateway.ask("DELETE", "/editors?org=acme");
    assert_eq!(answer["seats"][0]["free"], 2);
    assert_eq!(gateway.send("GET", "/", carol).1, Flow::Continue);
}

#[test]
fn only_the_route_of_operators_answers() {
    let gateway = Gateway::new();
    for role in [
        json!({}),
        json!({ "sluicegate": { "role": "client" } }),
        json!({ "x": { "role": "operator" } }),
    ] {
        gateway.proxy.know(Property::RouteMetadata, metadata(&role));
        for method in ["GET", "DELETE"] {
            let path = format!("/sluicegate/limits/free?{ALL}");
            let (_, flow) = gateway.ask_somewhere(method, &path, &[]);
            let reply = gateway.proxy.replies.borrow_mut().pop().unwrap();
            assert_eq!(flow, Flow::Stop, "{role}");
            assert!([401, 429].contains(&reply.status), "{role}: {reply:?}");
        }
    }
    // Nor is another path on that route.
    let role = json!({ "sluicegate": { "role": "operator" } });
    gateway.proxy.know(Property::RouteMetadata, metadata(&role));
    for path in ["/sluicegate/limitsx", "/sluicegate", "/x/sluicegate/limits"] {
        gateway.ask_somewhere("GET", path, &[]);
        let reply = gateway.proxy.replies.borrow_mut().pop().unwrap();
        assert!([401, 429].contains(&reply.status), "{path}: {reply:?}");
    }
    assert_eq!(gateway.resets(), 0);
}

#[test]
fn a_question_without_an_answer_gets_advice() {
    let gateway = Gateway::new();
    for (method, rest, status, detail) in [
        ("POST", "", 405, "answer GET"),
        ("DELETE", "?org=acme", 405, "add its name to the path"),
        (
            "GET",
            "/fre?org=acme",
            404,
            "has no limit fre; it has: guesses, monthly",
        ),
        ("GET", "/%ff%0a\"", 404, "has no limit \u{fffd}\n\""),
        (
            "DELETE",
            "/slots?org=acme",
            409,
            "belong to requests in flight",
        ),
        (
            "GET",
            "?orgg=acme",
            400,
            "no attribute or key orgg; it has: credential, token, ",
        ),
        ("GET", "?org=acme&org=b", 400, "org occurs twice"),
        ("GET", "?org=acme&o%72g=b", 400, "org occurs twice"),
        (
            "GET",
            "/free?org=acme",
            400,
            "also depends on plan: add plan=",
        ),
        (
            "DELETE",
            "/words?",
            400,
            "add tier= and method= and route= and host=",
        ),
        ("DELETE", "/free?org=acme&plan=pro", 404, "does not apply"),
        ("DELETE", "/trials?org=acme&plan=pro", 404, "does not apply"),
        ("DELETE", "/person?user=", 404, "does not apply"),
    ] {
        let (found, answer) = gateway.ask(method, rest);
        let text = answer["detail"].as_str().unwrap();
        assert!(
            found == status && text.contains(detail),
            "{method} {rest}: {found} {text}"
        );
    }
    assert_eq!(gateway.resets(), 0);
}
