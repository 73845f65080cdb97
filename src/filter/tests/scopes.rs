//! The requests that a limit counts, and its key: words in `per`, and routes that it excludes.

use super::proxy::Proxy;
use super::*;

/// Sends one request; whether it is forwarded.
fn admits(
    proxy: &Proxy,
    runtime: &Rc<Runtime<Proxy>>,
    (method, host, path): (&str, &str, &str),
) -> bool {
    let pairs: [(&str, &[u8]); 3] = [
        (":method", method.as_bytes()),
        (":authority", host.as_bytes()),
        (":path", path.as_bytes()),
    ];
    proxy.send(runtime, &pairs).1 == Flow::Continue
}

fn limit(tiers: &str, keys: &str) -> String {
    format!(
        "version: 1\nname: demo\n{tiers}limits: [{{ name: one, {keys}, bucket: {{ burst: 1, \
         refill: 1/d }} }}]\n"
    )
}

#[test]
fn each_word_of_per_has_counters_of_its_own() {
    let tiers = "tiers: [{ name: read, routes: ['GET /**'] }, { name: write, routes: ['POST /a', \
                 '/**'] }]\n";
    let get = |path| ("GET", "a.example", path);
    for (tiers, keys, same, other) in [
        ("", "per: [method]", get("/b"), ("PUT", "a.example", "/a")),
        (
            "",
            "per: [host]",
            ("PUT", "A.example:8080", "/b"),
            ("GET", "b.example", "/a"),
        ),
        (tiers, "per: [tier]", get("/b"), ("PUT", "a.example", "/a")),
        (
            "",
            "for: { routes: ['/*', '/**'] }, per: [route]",
            get("/b"),
            get("/b/c"),
        ),
        (
            tiers,
            "for: { tier: [read, write] }, per: [route]",
            get("/b"),
            ("POST", "a.example", "/a"),
        ),
        // The routes of the limit count, not those of the tier.
        (
            tiers,
            "for: { tier: [read, write], routes: ['/a', '/**'] }, per: [route]",
            ("POST", "a.example", "/a"),
            get("/b"),
        ),
    ] {
        let proxy = Proxy::new();
        let runtime = proxy.runtime(&limit(tiers, keys));
        assert!(admits(&proxy, &runtime, get("/a")), "{keys}");
        assert!(!admits(&proxy, &runtime, same), "{keys}: {same:?}");
        assert!(admits(&proxy, &runtime, other), "{keys}: {other:?}");
        assert!(!admits(&proxy, &runtime, other), "{keys}: {other:?}");
    }
}

#[test]
fn a_request_without_a_value_of_a_word_shares_a_counter_or_is_not_counted() {
    let tiers = "tiers: [{ name: read, routes: ['/r'] }]\n";
    for (more, admitted) in [("", false), (", absent: skip", true)] {
        for word in ["tier", "route"] {
            let proxy = Proxy::new();
            let runtime = proxy.runtime(&limit(tiers, &format!("per: [{word}]{more}")));
            for path in ["/r", "/x"] {
                assert!(admits(&proxy, &runtime, ("GET", "", path)), "{word} {path}");
            }
            assert!(!admits(&proxy, &runtime, ("GET", "", "/r")), "{word}");
            assert_eq!(
                admits(&proxy, &runtime, ("GET", "", "/y")),
                admitted,
                "{word}"
            );
        }
    }
}

#[test]
fn excluded_routes_are_not_counted() {
    let proxy = Proxy::new();
    let runtime = proxy.runtime(&limit(
        "",
        "for: { routes: ['/a/**'], except: ['GET /a/free', '/a/*/free'] }, per: []",
    ));
    for _ in 0..3 {
        for path in ["/a/free", "/a/b/free", "/other"] {
            assert!(admits(&proxy, &runtime, ("GET", "", path)), "{path}");
        }
    }
    assert!(admits(&proxy, &runtime, ("POST", "", "/a/free")));
    assert!(!admits(&proxy, &runtime, ("POST", "", "/a/free")));
    // The upstream may take this for a path that is not excluded, so it is counted.
    assert!(!admits(&proxy, &runtime, ("GET", "", "/a/b%2Ffree")));
}

#[test]
fn an_exemption_has_exceptions_too() {
    let proxy = Proxy::new();
    let policy = limit("exempt: [{ except: ['/paid/**'] }]\n", "per: []");
    let runtime = proxy.runtime(&policy);
    for _ in 0..3 {
        assert!(admits(&proxy, &runtime, ("GET", "", "/free")));
    }
    assert!(admits(&proxy, &runtime, ("GET", "", "/paid/a")));
    assert!(!admits(&proxy, &runtime, ("GET", "", "/paid/b")));
}

#[test]
fn the_cost_is_that_of_the_first_entry_that_matches() {
    let proxy = Proxy::new();
    let runtime = proxy.runtime(
        "version: 1
name: demo
limits:
  - name: one
    per: [method]
    cost:
      - { routes: ['HEAD /**'], units: 0 }
      - { routes: ['/five/*'], units: 5 }
      - { routes: ['/sized/**'], units: { header: content-length } }
      - { routes: ['/stated'], units: { response_header: x-cost } }
    bucket: { burst: 10, refill: 1/d }
",
    );
    let left = |method: &str, path: &str, length: &str, stated: &str| {
        let pairs: [(&str, &[u8]); 3] = [
            (":method", method.as_bytes()),
            (":path", path.as_bytes()),
            ("content-length", length.as_bytes()),
        ];
        let (mut stream, flow) = proxy.send(&runtime, &pairs);
        assert_eq!(flow, Flow::Continue, "{method} {path}");
        let headers = proxy.answer(&mut stream, &[(":status", "200"), ("x-cost", stated)]);
        stream.on_end(&proxy);
        headers["x-ratelimit-remaining"].clone()
    };
    for (method, path, expected) in [
        ("HEAD", "/five/a", "10"),
        ("GET", "/other", "9"),
        ("GET", "/five/a", "4"),
        ("GET", "/sized/a/b", "2"),
        // It is one request for some upstreams, and costs 5, and another for others.
        ("PUT", "/five/x%2Fy", "5"),
        ("POST", "/sized%2Fx", "8"),
        ("PATCH", "/five%2Fx", "5"),
        ("DELETE", "/stated", "7"),
    ] {
        assert_eq!(left(method, path, "2", "3"), expected, "{method} {path}");
    }
}
