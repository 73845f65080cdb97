//! The cost of a request: by its head, its body, its response.

use std::rc::Rc;

use super::limits::{ALICE, BOB, header, policy};
use super::proxy::Proxy;
use crate::filter::stream::{Flow, Stream};
use crate::host::headers::Headers;
use crate::queue::stream::StreamId;

/// The lines of a header that states a cost, and the units that they state.
const COST_LINES: &[(&[&str], u64)] = &[
    (&[], 1),
    (&["3"], 3),
    (&[" 3\t"], 3),
    (&["003"], 3),
    (&["0"], 0),
    (&["-3"], 1),
    (&["+5"], 1),
    (&["1.5"], 1),
    (&["5e3"], 1),
    (&["0x9"], 1),
    (&["2 3"], 1),
    (&["5;q=1"], 1),
    (&["\u{664}"], 1),
    (&[""], 1),
    (&["  "], 1),
    // The greatest of all lines and of all members of lists. Empty members do not count.
    (&["4", "1"], 4),
    (&["1", "4"], 4),
    (&["1, 7"], 7),
    (&["1,7,2"], 7),
    (&["1, 3", "0", "2,5 , 4"], 5),
    (&["7,"], 7),
    (&["0, ,"], 0),
    (&[","], 1),
    (&["0", ""], 0),
    (&["0, many"], 1),
    (&["many, 7"], 7),
];

#[test]
fn a_header_can_say_what_a_request_costs() {
    for (values, taken) in COST_LINES {
        let taken = *taken;
        for rule in [
            "bucket: { burst: 10, refill: 1/h }",
            "rolling: { quota: 10, window: 1h }",
            "calendar: { quota: 10, window: 1d }",
        ] {
            let proxy = Proxy::new();
            let rest = format!(
                "limits: [{{ name: one, per: [org], {rule}, cost: {{ header: X-Cost, trusted: true \
                 }} }}]"
            );
            let runtime = proxy.runtime(&policy(&rest));
            let mut pairs = vec![(":path", &b"/a"[..]), ("x-api-key", ALICE.as_bytes())];
            pairs.extend(values.iter().map(|value| ("x-cost", value.as_bytes())));
            let (mut stream, _) = proxy.send(&runtime, &pairs);
            let response = proxy.answer(&mut stream, &[(":status", "200")]);
            assert_eq!(
                response["x-ratelimit-remaining"],
                10_u64.saturating_sub(taken).to_string(),
                "{values:?}, {rule}"
            );
        }
    }
    let proxy = Proxy::new();
    let runtime = proxy.runtime(&policy(
        "limits: [{ name: one, per: [org], calendar: { quota: 10, window: 1d }, cost: { \
         header: content-length } }]",
    ));
    for length in ["11", "99999999999999999999999"] {
        let pairs = [
            (":path", &b"/a"[..]),
            ("x-api-key", ALICE.as_bytes()),
            ("content-length", length.as_bytes()),
        ];
        assert_eq!(proxy.send(&runtime, &pairs).1, Flow::Stop);
        let reply = proxy.replies.borrow_mut().pop().unwrap();
        assert_eq!(header(&reply, "retry-after"), None, "no wait helps");
    }
}

#[test]
fn a_constant_cost_of_zero_shows_the_fields_and_takes_nothing() {
    let proxy = Proxy::new();
    let runtime = proxy.runtime(&policy(
        "limits: [{ name: one, per: [org], rolling: { quota: 2, window: 1d }, cost: 0 }]",
    ));
    for _ in 0..5 {
        let (mut stream, _) = proxy.get(&runtime, "/a", ALICE);
        let response = proxy.answer(&mut stream, &[(":status", "200")]);
        assert_eq!(
            (
                &*response["x-ratelimit-remaining"],
                &*response["x-ratelimit-reset"]
            ),
            ("2", "0")
        );
    }
}

#[test]
fn a_response_can_say_what_its_request_cost() {
    let rest = "limits: [{ name: one, per: [org], calendar: { quota: 10, window: 1d }, cost: \
                { response_header: X-Cost } }]";
    let proxy = Proxy::new();
    let runtime = proxy.runtime(&policy(rest));
    let mut answers = Vec::new();
    for cost in [Some("4"), None, Some("0"), Some("nonsense"), Some("7")] {
        let (mut stream, flow) = proxy.get(&runtime, "/a", ALICE);
        assert_eq!(flow, Flow::Continue);
        let said: Vec<(&str, &str)> = [(":status", "200")]
            .into_iter()
            .chain(cost.map(|cost| ("x-cost", cost)))
            .collect();
        let response = proxy.answer(&mut stream, &said);
        answers.push((
            response["x-ratelimit-remaining"].clone(),
            response.get("x-ratelimit-overage").cloned(),
        ));
        stream.on_end(&proxy);
    }
    let expected = [
        ("6", None),
        ("5", None),
        ("5", None),
        ("4", None),
        ("0", Some("3")),
    ];
    assert_eq!(
        answers,
        expected.map(|(left, over)| (left.to_owned(), over.map(str::to_owned)))
    );
    assert_eq!(
        proxy.get(&runtime, "/a", BOB).1,
        Flow::Stop,
        "the next request sees it"
    );
    assert_eq!(
        proxy.count("policy=.=demo;.;limit=.=one;.;sluicegate_overage_units_total"),
        3
    );
    // A client that hangs up before the cost is stated pays one unit, and a redirect that goes on
    // as another stream none.
    let runtime = proxy.runtime(&policy(&rest.replace("name: one", "name: two")));
    for (details, left) in [
        ("downstream_remote_disconnect", "9"),
        ("internal_redirect", "9"),
    ] {
        let (mut stream, _) = proxy.get(&runtime, "/a", ALICE);
        proxy.details.replace(Some(details));
        stream.on_end(&proxy);
        let (mut next, _) = proxy.get(&runtime, "/a", ALICE);
        let fields = proxy.answer(&mut next, &[(":status", "200"), ("x-cost", "0")]);
        assert_eq!(fields["x-ratelimit-remaining"], left);
    }
    // A request that fails costs nothing if only success is charged.
    let runtime = proxy.runtime(&policy(
        &rest.replace("name: one", "name: three, charge: success"),
    ));
    for (status, left) in [("500", "10"), ("200", "6"), ("404", "6")] {
        let (mut stream, _) = proxy.get(&runtime, "/a", ALICE);
        proxy.details.replace(Some("via_upstream"));
        let response = proxy.answer(&mut stream, &[(":status", status), ("x-cost", "4")]);
        assert_eq!(response["x-ratelimit-remaining"], left);
    }
}

#[test]
fn a_response_says_its_cost_with_all_lines() {
    let rest = "limits: [{ name: one, per: [org], calendar: { quota: 10, window: 1d }, cost: \
                { response_header: X-Cost } }]";
    for (values, taken) in COST_LINES {
        let proxy = Proxy::new();
        let runtime = proxy.runtime(&policy(rest));
        let (mut stream, _) = proxy.get(&runtime, "/a", ALICE);
        let lines = values.join("\n");
        let cost = (!values.is_empty()).then_some(("x-cost", &*lines));
        let said: Vec<(&str, &str)> = [(":status", "200")].into_iter().chain(cost).collect();
        let response = proxy.answer(&mut stream, &said);
        assert_eq!(
            response["x-ratelimit-remaining"],
            10_u64.saturating_sub(*taken).to_string(),
            "{values:?}"
        );
    }
    // An endless number is more than any limit holds, and has a bound.
    for rule in [
        "calendar: { quota: 10, window: 1d }",
        "bucket: { burst: 10, refill: 1000000/s }",
    ] {
        let proxy = Proxy::new();
        let runtime = proxy.runtime(&policy(
            &rest.replace("calendar: { quota: 10, window: 1d }", rule),
        ));
        let (mut stream, _) = proxy.get(&runtime, "/a", ALICE);
        let response = proxy.answer(
            &mut stream,
            &[(":status", "200"), ("x-cost", "99999999999999999999999999")],
        );
        assert_eq!(response["x-ratelimit-overage"], "999999999999990", "{rule}");
    }
}

#[test]
fn a_cost_by_the_body_is_definite_without_a_body() {
    // Without a body; with an empty one, with and without a length; with one of another kind than
    // the cost needs.
    for (cost, bodiless, empty, strange) in [
        ("{ header: content-length }", 1, 0, 3),
        ("{ bytes: request }", 0, 0, 3),
        ("{ lines: request }", 0, 0, 1),
        ("{ items: /a }", 1, 1, 1),
    ] {
        let rest = format!(
            "limits: [{{ name: one, per: [org], calendar: {{ quota: 10, window: 1d }}, \
             cost: {cost} }}]"
        );
        let left = |ends: bool, length: Option<&str>, body: &[u8]| {
            let proxy = Proxy::new();
            let runtime = proxy.runtime(&policy(&rest));
            for method in ["GET", "POST", "HEAD"] {
                let mut pairs: Vec<(&str, &[u8])> = vec![
                    (":method", method.as_bytes()),
                    (":path", b"/a"),
                    ("x-api-key", ALICE.as_bytes()),
                ];
                pairs.extend(length.map(|length| ("content-length", length.as_bytes())));
                proxy.request.replace(Headers::encode(&pairs));
                let mut stream = Stream::new(Rc::clone(&runtime), StreamId(1));
                assert_eq!(stream.on_request_headers(&proxy, ends), Flow::Continue);
                if !ends {
                    proxy.body.replace(body.to_vec());
                    stream.on_request_body(&proxy, body.len(), true, &mut super::slice());
                }
                proxy.answer(&mut stream, &[(":status", "200")]);
                stream.on_end(&proxy);
            }
            let (mut stream, _) = proxy.get(&runtime, "/a", ALICE);
            stream.on_request_body(&proxy, 0, true, &mut super::slice());
            let last = if cost.contains("items") || cost.contains("header") {
                1
            } else {
                0
            };
            let response = proxy.answer(&mut stream, &[(":status", "200")]);
            10 - last - response["x-ratelimit-remaining"].parse::<u64>().unwrap()
        };
        assert_eq!(left(true, None, b""), 3 * bodiless, "{cost}, no body");
        assert_eq!(
            left(true, Some("0"), b""),
            3 * if cost.contains("items") { 1 } else { 0 },
            "{cost}, a length of 0"
        );
        let chunked = if cost.contains("header") { 1 } else { empty };
        assert_eq!(
            left(false, None, b""),
            3 * chunked,
            "{cost}, an empty body in chunks"
        );
        assert_eq!(
            left(false, Some("3"), b"{x\n"),
            3 * strange,
            "{cost}, no JSON"
        );
    }
}

#[test]
fn a_request_without_a_body_counts_in_a_limit_by_items() {
    let proxy = Proxy::new();
    let rest = "limits: [{ name: one, per: [], calendar: { quota: 100, window: 1d }, cost: \
                { items: /a } }]";
    let runtime = proxy.runtime(&policy(rest));
    let pairs: [(&str, &[u8]); 3] = [
        (":method", b"GET"),
        (":path", b"/a"),
        ("x-api-key", ALICE.as_bytes()),
    ];
    proxy.request.replace(Headers::encode(&pairs));
    let admitted = (0..150).filter(|_| {
        Stream::new(Rc::clone(&runtime), StreamId(1)).on_request_headers(&proxy, true)
            == Flow::Continue
    });
    assert_eq!(admitted.count(), 100);
}
