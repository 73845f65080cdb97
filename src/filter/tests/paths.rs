//! Paths that have more than one reading.

use super::proxy::Proxy;
use super::*;

const PATHS: &str = r#"
version: 1
name: demo
callers:
  for: { routes: ["/v2/**"] }
  credentials: [{ name: api_key, header: x-api-key }]
  directory:
    # demo-acme-1
    - { sha256: cd5d9af4ac9c9371182890c71242aa2b4e9ab957acd39aeeedae87b051314df8, org: acme }
tiers:
  - { name: cheap, routes: ["/v2/*/cheap"] }
  - { name: rest, routes: ["/v2/**"] }
exempt: [{ routes: ["/health/*"] }]
limits:
  - { name: cheap, for: { tier: cheap }, per: [], bucket: { burst: 100, refill: 1/h } }
  - { name: rest, for: { tier: rest }, per: [], bucket: { burst: 2, refill: 1/h } }
  - { name: project, for: { routes: ["/v2/projects/{id}"] }, per: [id],
      bucket: { burst: 1, refill: 1/h } }
  - { name: any, for: { routes: ["/*", "/health/**"] }, per: [], bucket: { burst: 1, refill: 1/h } }
payloads:
  - { name: upload, for: { routes: ["/up/*"] }, bytes: 1KB }
  - { name: large, for: { routes: ["/up/*/large"] }, bytes: 1MB }
access_log: { attributes: [org] }
"#;

/// The status of the answer to a GET with or without a key, or 0 if it is forwarded.
fn status(proxy: &Proxy, runtime: &Rc<Runtime<Proxy>>, path: &str, key: Option<&str>) -> u32 {
    let mut pairs: Vec<(&str, &[u8])> = vec![(":method", b"GET"), (":path", path.as_bytes())];
    pairs.extend(key.map(|key| ("x-api-key", key.as_bytes())));
    let (_, flow) = proxy.send(runtime, &pairs);
    let reply = proxy.replies.borrow_mut().pop();
    assert_eq!(flow == Flow::Stop, reply.is_some(), "{path}");
    reply.map_or(0, |reply| reply.status)
}

#[test]
fn a_path_without_a_safe_reading_is_refused_with_its_reason() {
    let proxy = Proxy::new();
    let runtime = proxy.runtime(PATHS);
    for (path, reason) in [
        ("/v2/x%2f..%2f..", "dot_segment"),
        ("/v2/x%5c..%5c..", "dot_segment"),
        ("/v2/../other/a", "dot_segment"),
        ("/v2/..;/a", "dot_segment"),
        ("/a%252f..%252fv2", "dot_segment"),
        ("/other%00/../x", "dot_segment"),
        ("/other%00", "nul"),
        ("/x%c0%afy", "overlong"),
        ("/up/a%2Flarge", "payload"),
    ] {
        let counter = format!("policy=.=demo;.;reason=.={reason};.;sluicegate_paths_refused_total");
        let before = proxy.count(&counter);
        let (mut stream, flow) = proxy.send(&runtime, &[(":path", path.as_bytes())]);
        assert_eq!(flow, Flow::Stop, "{path}");
        let reply = proxy.replies.borrow_mut().pop().unwrap();
        assert_eq!(
            (reply.status, reply.details),
            (400, format!("sluicegate_path_refused:{reason}")),
            "{path}"
        );
        assert_eq!(reply.grpc_status, GrpcStatus::InvalidArgument);
        assert!(
            reply
                .body
                .starts_with(r#"{"status":400,"title":"Bad Request","detail":"The path "#),
            "{}",
            reply.body
        );
        assert_eq!(proxy.count(&counter), before + 1, "{path}");
        assert!(
            proxy
                .take_line()
                .unwrap()
                .starts_with("decision=refused limit=- ")
        );
        assert_eq!(
            proxy.answer(&mut stream, &[(":status", "400")]).len(),
            1,
            "it carries no fields"
        );
    }
}

#[test]
fn without_routes_no_path_is_refused() {
    let proxy = Proxy::new();
    let runtime = proxy.runtime(
        "{ version: 1, name: demo, limits: [{ name: all, per: [], bucket: { burst: 9, \
                  refill: 1/h } }] }",
    );
    assert_eq!(status(&proxy, &runtime, "/v2/x%2f..%2f..", None), 0);
}

#[test]
fn a_limit_holds_in_any_reading() {
    let proxy = Proxy::new();
    let runtime = proxy.runtime(PATHS);
    let key = Some("demo-acme-1");
    // An id with a slash is one segment to its upstream.
    assert_eq!(
        status(&proxy, &runtime, "/v2/projects/group%2Fname", key),
        0
    );
    assert_eq!(
        status(&proxy, &runtime, "/v2/projects/group%2Fname", key),
        429,
        "it has spent its own"
    );
    assert_eq!(
        proxy.count(
            "policy=.=demo;.;limit=.=project;.;decision=.=admitted;.;sluicegate_requests_total"
        ),
        1
    );
    // A request that is cheap in only one reading has the cost of the other.
    for (path, expected) in [
        ("/v2/a%2Fcheap", 0),
        ("/v2/a;/cheap", 0),
        ("/v2/a%5Ccheap", 429),
        ("/v2/a/cheap", 0),
    ] {
        assert_eq!(status(&proxy, &runtime, path, key), expected, "{path}");
    }
    // A caller must be identified if one reading asks for that.
    for path in [
        "/v2%2Fa",
        "/v2%5ca",
        "\\v2\\a",
        "/v2;x/a",
        "//v2/a",
        "/v2%252fa",
    ] {
        assert_eq!(status(&proxy, &runtime, path, None), 401, "{path}");
    }
}

#[test]
fn an_exemption_holds_in_all_readings() {
    let proxy = Proxy::new();
    let runtime = proxy.runtime(PATHS);
    assert_eq!(status(&proxy, &runtime, "/health/a", None), 0);
    assert_eq!(
        status(&proxy, &runtime, "/health%2Fa", None),
        0,
        "one segment for some: it counts"
    );
    assert_eq!(status(&proxy, &runtime, "/health%2Fb", None), 429);
    assert_eq!(status(&proxy, &runtime, "/health/a", None), 0);
}
