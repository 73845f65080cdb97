//! The parts of a line for the access log.

use super::*;

/// The parts of an admitted and a refused request.
fn parts(wanted: &str) -> [Option<[String; 3]>; 2] {
    let proxy = Proxy::new();
    let text = POLICY.replace("token] }", &format!("token], parts: {wanted} }}"));
    let runtime = proxy.runtime(&text);
    let of = |key: &str| {
        proxy.get(&runtime, "/v2/x", key);
        let parts = proxy.log_parts.take();
        let part = |name: &str| parts.get(name).cloned().unwrap_or_default();
        (!parts.is_empty()).then(|| [part("decision"), part("org"), part("policy")])
    };
    [of("demo-acme-1"), of("nobody")]
}

#[test]
fn a_line_is_written_in_parts_if_the_policy_wants_it() {
    let admitted = ["admitted", "acme", "demo"].map(str::to_owned);
    let refused = ["refused", "-", "demo"].map(str::to_owned);
    assert_eq!(parts("never"), [None, None]);
    assert_eq!(parts("refused"), [None, Some(refused.clone())]);
    assert_eq!(parts("always"), [Some(admitted), Some(refused)]);
}
