//! Limits on requests that are about to receive a 401.

use super::proxy::{Pairs, Proxy};
use super::*;
use crate::base::property::Property;

const POLICY: &str = policy_of_two!(
    r#"
  attributes:
    ip: [{ client_address: {} }]
    who: [{ directory: org }, { query: who }]
exempt: [{ routes: [/free] }]
deny: [{ routes: [/closed] }]
limits:
  - { name: guesses, for: { credential: refused }, per: [ip], calendar: { quota: 3, window: 1d },
      ENFORCEMENT }
  - { name: who, for: { credential: [refused], routes: [/who/**] }, per: [who],
      calendar: { quota: 1, window: 1d } }
  - { name: one-secret, for: { credential: refused, routes: ["/secret/{id}"] },
      per: [presented, id], absent: skip, calendar: { quota: 1, window: 1d } }
  - { name: known, per: [org], bucket: { burst: 2, refill: 1/h } }
access_log: { attributes: [ip, org, presented] }
"#
);

const ACME: (&str, &[u8]) = ("authorization", b"Bearer demo-acme-1");

fn wrong(secret: &[u8]) -> (&str, &[u8]) {
    ("x-key", secret)
}

/// The status and details of the answer; 200 if the request is forwarded.
fn send(
    proxy: &Proxy,
    runtime: &Rc<Runtime<Proxy>>,
    path: &str,
    pairs: Pairs<'_>,
) -> (u32, String) {
    let head = [(":method", &b"GET"[..]), (":path", path.as_bytes())];
    proxy.send(runtime, &[&head, pairs].concat());
    let reply = proxy.replies.borrow_mut().pop();
    reply.map_or((200, String::new()), |reply| (reply.status, reply.details))
}

fn proxy(enforcement: &str) -> (Proxy, Rc<Runtime<Proxy>>) {
    let proxy = Proxy::new();
    proxy.know(Property::SourceAddress, b"192.0.2.7:1".to_vec());
    let runtime = proxy.runtime(&POLICY.replace("ENFORCEMENT", enforcement));
    (proxy, runtime)
}

#[test]
fn each_401_counts_until_the_limit_refuses() {
    let (proxy, runtime) = proxy("enforcement: enforce");
    let refused = |path: &str, pairs: Pairs<'_>| send(&proxy, &runtime, path, pairs).0;
    assert_eq!(refused("/", &[]), 401);
    assert_eq!(refused("/", &[wrong(b"a")]), 401);
    // Neither an exempt request nor a denied one counts.
    for _ in 0..5 {
        assert_eq!(refused("/free", &[wrong(b"a")]), 401);
        assert_eq!(refused("/closed", &[wrong(b"a")]), 403);
    }
    assert_eq!(refused("/", &[ACME, wrong(b"b")]), 401);
    for _ in 0..9 {
        let answer = send(&proxy, &runtime, "/", &[wrong(b"c")]);
        assert_eq!(answer, (429, "sluicegate_refused:guesses".to_owned()));
        let line = proxy.take_line().unwrap();
        assert!(
            line.starts_with("decision=refused limit=guesses tier=- ip=192.0.2.7 org=- presented=")
                && !line.ends_with("=-"),
            "{line}"
        );
    }
    assert_eq!(refused("/free", &[wrong(b"a")]), 401);
    // An accepted secret of the same client has its own limit.
    assert_eq!(refused("/", &[ACME]), 200);
    assert_eq!(refused("/", &[ACME]), 200);
    assert_eq!(refused("/", &[ACME]), 429);
    // Another client.
    proxy.know(Property::SourceAddress, b"192.0.2.8:1".to_vec());
    assert_eq!(refused("/", &[]), 401);
    let count = |limit: &str, decision: &str| {
        proxy.count(&format!(
            "policy=.=demo;.;limit=.={limit};.;decision=.={decision};.;sluicegate_requests_total"
        ))
    };
    assert_eq!(
        (count("guesses", "admitted"), count("guesses", "refused")),
        (4, 9)
    );
    assert_eq!(
        (count("known", "admitted"), count("known", "refused")),
        (2, 1)
    );
}

#[test]
fn a_429_carries_the_fields_of_its_limit_and_no_challenge() {
    let (proxy, runtime) = proxy("enforcement: enforce");
    for place in 0..4 {
        proxy.send(&runtime, &[wrong(b"a")]);
        let reply = proxy.replies.borrow_mut().pop().unwrap();
        let has = |name: &str| reply.headers.iter().any(|(known, _)| *known == name);
        let refused = place == 3;
        assert_eq!(reply.status, if refused { 429 } else { 401 });
        assert_eq!(has("www-authenticate"), !refused);
        assert_eq!(has("x-ratelimit-limit"), refused);
        assert_eq!(has("retry-after"), refused);
    }
}

#[test]
fn a_key_follows_from_what_needs_no_credential() {
    let (proxy, runtime) = proxy("enforcement: shadow");
    let refused = |path: &str, pairs: Pairs<'_>| send(&proxy, &runtime, path, pairs).0;
    // The attribute's other source counts, not the directory's value of an accepted secret.
    assert_eq!(refused("/who/x?who=a", &[ACME, wrong(b"a")]), 401);
    assert_eq!(refused("/who/x?who=a", &[wrong(b"b")]), 429);
    assert_eq!(refused("/who/x?who=acme", &[wrong(b"b")]), 401);
    // Of several secrets the one that is not accepted counts.
    assert_eq!(refused("/secret/1", &[ACME, wrong(b"a")]), 401);
    assert_eq!(refused("/secret/1", &[ACME, wrong(b"b")]), 401);
    assert_eq!(refused("/secret/1", &[wrong(b"a")]), 429);
    assert_eq!(refused("/secret/2", &[wrong(b"a")]), 401);
    // Without a secret the limit does not apply.
    for _ in 0..3 {
        assert_eq!(refused("/secret/1", &[]), 401);
    }
    let would_refuse = "policy=.=demo;.;limit=.=guesses;.;decision=.=would_refuse;.;\
                        sluicegate_requests_total";
    assert_eq!(proxy.count(would_refuse), 6);
}

#[test]
fn a_counter_that_cannot_be_read_falls_back() {
    for (failure, status) in [("allow", 401), ("deny", 429)] {
        let (proxy, runtime) = proxy(&format!("failure: {failure}"));
        proxy.data.fault.set(Some(Fault::HostStatus(10)));
        assert_eq!(send(&proxy, &runtime, "/", &[wrong(b"a")]).0, status);
    }
}

#[test]
fn a_lock_refuses_identified_requests_of_its_key_as_well() {
    let (proxy, runtime) = proxy("over: { lock: 5m }");
    let sent = |path: &str, pairs: Pairs<'_>| send(&proxy, &runtime, path, pairs).0;
    for status in [401, 401, 401, 429] {
        assert_eq!(sent("/", &[wrong(b"a")]), status);
    }
    assert_eq!(
        send(&proxy, &runtime, "/", &[ACME]),
        (429, "sluicegate_refused:guesses".to_owned())
    );
    // The limit does not apply to an exempt request, nor to another address.
    assert_eq!(sent("/free", &[ACME]), 200);
    proxy.know(Property::SourceAddress, b"192.0.2.8:1".to_vec());
    assert_eq!(sent("/", &[ACME]), 200);
    proxy.know(Property::SourceAddress, b"192.0.2.7:1".to_vec());
    proxy.wait(299);
    assert_eq!(sent("/", &[ACME]), 429);
    proxy.wait(1);
    // The request that was refused took nothing.
    assert_eq!(sent("/", &[ACME]), 200);
    assert_eq!(sent("/", &[ACME]), 429);
}
