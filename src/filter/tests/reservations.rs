//! Costs that are reserved and settled later, and charges that depend on the response.

use std::rc::Rc;

use super::limits::{ALICE, policy};
use super::proxy::Proxy;
use crate::filter::runtime::Runtime;
use crate::filter::stream::{Flow, Stream};

const RULES: [&str; 3] = [
    "bucket: { burst: 1000, refill: 1/h }",
    "rolling: { quota: 1000, window: 1h }",
    "calendar: { quota: 1000, window: 1d }",
];

fn points(rule: &str, rest: &str) -> String {
    policy(&format!(
        "limits: [{{ name: points, per: [org], {rule}, cost: {{ reserve: 900, settle: {{ \
         response_header: x-points }} }} {rest} }}]"
    ))
}

fn open(proxy: &Proxy, runtime: &Rc<Runtime<Proxy>>) -> Option<Stream<Proxy>> {
    let (stream, flow) = proxy.get(runtime, "/a", ALICE);
    (flow == Flow::Continue).then_some(stream)
}

fn left(proxy: &Proxy, stream: &mut Stream<Proxy>, head: &[(&str, &str)]) -> String {
    proxy.answer(stream, head)["x-ratelimit-remaining"].clone()
}

#[test]
fn of_ten_requests_at_once_only_those_whose_reservation_fits_pass() {
    for rule in RULES {
        let proxy = Proxy::new();
        let runtime = proxy.runtime(&points(rule, ""));
        let mut open: Vec<_> = (0..10).filter_map(|_| open(&proxy, &runtime)).collect();
        assert_eq!(open.len(), 1, "{rule}");
        let stream = &mut open[0];
        let head = [(":status", "200"), ("x-points", "40")];
        assert_eq!(left(&proxy, stream, &head), "960", "{rule}");
        stream.on_end(&proxy);
    }
}

#[test]
fn a_response_settles_the_reservation() {
    // The cost that the response states, and the units left of 1,000 then.
    let cases: [(&[(&str, &str)], &str); 7] = [
        (&[("x-points", "900")], "100"),
        (&[("x-points", "0")], "1000"),
        (&[("x-points", "1")], "999"),
        (&[("x-points", "950")], "50"),
        (&[("x-points", "5000")], "0"),
        (&[("x-points", "many")], "100"),
        (&[], "100"),
    ];
    for rule in RULES {
        for (stated, expected) in cases {
            let proxy = Proxy::new();
            let runtime = proxy.runtime(&points(rule, ""));
            let mut stream = open(&proxy, &runtime).unwrap();
            let head = [&[(":status", "200")], stated].concat();
            assert_eq!(
                left(&proxy, &mut stream, &head),
                expected,
                "{rule} {stated:?}"
            );
            stream.on_end(&proxy);
            let mut next = Vec::new();
            next.extend(open(&proxy, &runtime));
            assert_eq!(
                next.len(),
                usize::from(expected.parse::<u32>().unwrap() >= 900)
            );
        }
    }
}

#[test]
fn a_client_that_hangs_up_pays_the_reservation_and_a_failure_is_refunded_with_it() {
    for rule in RULES {
        let proxy = Proxy::new();
        let runtime = proxy.runtime(&points(rule, ", charge: success"));
        for stated in ["0", "40", "900", "950"] {
            let mut stream = open(&proxy, &runtime).unwrap();
            let head = [(":status", "500"), ("x-points", stated)];
            assert_eq!(left(&proxy, &mut stream, &head), "1000", "{rule} {stated}");
            stream.on_end(&proxy);
        }
        proxy.details.replace(Some("downstream_remote_disconnect"));
        open(&proxy, &runtime).unwrap().on_end(&proxy);
        proxy.details.replace(None);
        assert!(open(&proxy, &runtime).is_none(), "{rule}");
    }
}

#[test]
fn a_grpc_call_settles_at_its_head_and_is_refunded_by_its_trailers() {
    let proxy = Proxy::new();
    let runtime = proxy.runtime(&points(RULES[2], ", charge: success"));
    for (stated, status, expected) in [("950", "13", true), ("40", "13", true), ("950", "0", false)]
    {
        let pairs: [(&str, &[u8]); 4] = [
            (":method", b"POST"),
            (":path", b"/a"),
            ("x-api-key", ALICE.as_bytes()),
            ("content-type", b"application/grpc"),
        ];
        let (mut stream, flow) = proxy.send(&runtime, &pairs);
        assert_eq!(flow, Flow::Continue);
        let head = [
            (":status", "200"),
            ("content-type", "application/grpc"),
            ("x-points", stated),
        ];
        proxy.answer(&mut stream, &head);
        proxy
            .response
            .replace([("grpc-status".to_owned(), status.to_owned())].into());
        stream.on_response_trailers(&proxy);
        proxy.response.take();
        stream.on_end(&proxy);
        let mut next = open(&proxy, &runtime);
        assert_eq!(next.is_some(), expected, "{stated} {status}");
        if let Some(stream) = &mut next {
            left(&proxy, stream, &[(":status", "500")]);
        }
    }
}

#[test]
fn a_trusted_header_states_the_reservation() {
    let rest = "limits: [{ name: tokens, per: [org], calendar: { quota: 1000, window: 1d }, cost: \
                { reserve: { header: x-max, trusted: true, else: 300, at_most: 600 }, settle: { \
                response_header: x-tokens } } }]";
    for (stated, taken) in [
        (None, 300),
        (Some("100"), 100),
        (Some("600"), 600),
        (Some("999999999999999999999"), 600),
        (Some("0"), 300),
        (Some("-1"), 300),
        (Some("1.5"), 300),
        (Some("100, 200"), 200),
        (Some(""), 300),
    ] {
        let proxy = Proxy::new();
        let runtime = proxy.runtime(&policy(rest));
        let mut pairs = vec![(":path", &b"/a"[..]), ("x-api-key", ALICE.as_bytes())];
        pairs.extend(stated.map(|value| ("x-max", value.as_bytes())));
        let (mut stream, flow) = proxy.send(&runtime, &pairs);
        assert_eq!(flow, Flow::Continue);
        let expected = (1000 - taken).to_string();
        assert_eq!(
            left(&proxy, &mut stream, &[(":status", "200")]),
            expected,
            "{stated:?}"
        );
    }
}

#[test]
fn fifty_wrong_passwords_at_once_reach_the_upstream_five_times() {
    for charge in ["failure", "[401, 403]", "[4xx]"] {
        let proxy = Proxy::new();
        let runtime = proxy.runtime(&policy(&format!(
            "limits: [{{ name: logins, per: [org], rolling: {{ quota: 5, window: 1h }}, charge: \
             {charge} }}]"
        )));
        // Others that succeed leave no trace.
        for _ in 0..20 {
            let mut stream = open(&proxy, &runtime).unwrap();
            assert_eq!(
                left(&proxy, &mut stream, &[(":status", "200")]),
                "5",
                "{charge}"
            );
            stream.on_end(&proxy);
        }
        let refunds = proxy.refunded("logins", "not_counted");
        assert_eq!(refunds, 20, "{charge}");
        let mut passed: Vec<_> = (0..50).filter_map(|_| open(&proxy, &runtime)).collect();
        assert_eq!(passed.len(), 5, "{charge}");
        for (stream, expected) in passed.iter_mut().zip(["4", "3", "2", "1", "0"]) {
            assert_eq!(
                left(&proxy, stream, &[(":status", "401")]),
                expected,
                "{charge}"
            );
            stream.on_end(&proxy);
        }
        assert!(open(&proxy, &runtime).is_none(), "{charge}");
    }
}

#[test]
fn only_the_listed_responses_are_charged() {
    let proxy = Proxy::new();
    let runtime = proxy.runtime(&policy(
        "limits: [{ name: one, per: [org], calendar: { quota: 100, window: 1d }, charge: [403, \
         5xx] }]",
    ));
    let mut expected = 100;
    for (status, counts) in [
        ("200", false),
        ("304", false),
        ("401", false),
        ("403", true),
        ("404", false),
        ("500", true),
        ("504", true),
        ("599", true),
    ] {
        let mut stream = open(&proxy, &runtime).unwrap();
        expected -= i32::from(counts);
        let remaining = left(&proxy, &mut stream, &[(":status", status)]);
        assert_eq!(remaining, expected.to_string(), "{status}");
        stream.on_end(&proxy);
    }
    // A client that hangs up before the response pays, so that hanging up does not avoid the cost.
    open(&proxy, &runtime).unwrap().on_end(&proxy);
    let mut stream = open(&proxy, &runtime).unwrap();
    assert_eq!(
        left(&proxy, &mut stream, &[(":status", "200")]),
        (expected - 1).to_string()
    );
}
