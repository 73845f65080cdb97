//! Failures of the upstream, which are refunded, and those of the client, which are not.

use super::*;

#[test]
fn a_failure_is_refunded_once_and_only_by_limits_that_charge_for_success() {
    let proxy = Proxy::new();
    let runtime = proxy.runtime(POLICY);
    for status in ["400", "429", "500", "503", "599"] {
        let (mut stream, _) = proxy.get(&runtime, "/v2/a", "demo-acme-1");
        let response = proxy.answer(&mut stream, &[(":status", status)]);
        assert_eq!(
            response["x-ratelimit-remaining"], "3",
            "nothing was taken after all"
        );
        proxy.answer(&mut stream, &[(":status", status)]);
        stream.on_response_trailers(&proxy);
        stream.on_end(&proxy);
    }
    assert_eq!(proxy.refunded("reads", "failed"), 5);
    assert_eq!(proxy.refunded("all", "failed"), 0);
    assert_eq!(proxy.reads_left(&runtime), 3);
}

#[test]
fn a_client_that_hangs_up_before_the_response_pays() {
    let proxy = Proxy::new();
    let runtime = proxy.runtime(POLICY);
    let (mut stream, _) = proxy.get(&runtime, "/v2/a", "demo-acme-1");
    proxy.details.replace(Some("downstream_remote_disconnect"));
    stream.on_end(&proxy);
    assert_eq!(proxy.reads_left(&runtime), 2);
}

#[test]
fn a_grpc_call_fails_by_its_own_status() {
    let proxy = Proxy::new();
    let runtime = proxy.runtime(POLICY);
    let call = || {
        let pairs: [(&str, &[u8]); 4] = [
            (":method", b"GET"),
            (":path", b"/v2/a"),
            ("x-api-key", b"demo-acme-1"),
            ("content-type", b"application/grpc+proto"),
        ];
        proxy.send(&runtime, &pairs)
    };
    // Trailers only; in the trailers; a success that stays charged.
    proxy.answer(&mut call().0, &[(":status", "200"), ("grpc-status", "14")]);
    let head = [
        (":status", "200"),
        ("content-type", "application/grpc+proto"),
    ];
    for status in ["13", "0"] {
        let (mut stream, _) = call();
        proxy.answer(&mut stream, &head);
        proxy
            .response
            .replace([("grpc-status".to_owned(), status.to_owned())].into());
        stream.on_response_trailers(&proxy);
    }
    proxy.response.take();
    assert_eq!(proxy.refunded("reads", "failed"), 2);
    assert_eq!(proxy.reads_left(&runtime), 2);
    assert_eq!(call().1, Flow::Stop);
    let reply = proxy.replies.borrow_mut().pop().unwrap();
    assert_eq!(reply.body, "limit reads exceeded: retry after 1 s");
    assert!(
        reply
            .headers
            .iter()
            .all(|(name, _)| *name != "content-type"),
        "Envoy sets a gRPC caller's own"
    );
}

#[test]
fn a_grpc_call_that_breaks_off_is_refunded_unless_the_client_ended_it() {
    let call = |details, content_type| {
        let proxy = Proxy::new();
        let runtime = proxy.runtime(POLICY);
        let pairs: [(&str, &[u8]); 4] = [
            (":method", b"GET"),
            (":path", b"/v2/a"),
            ("x-api-key", b"demo-acme-1"),
            ("content-type", b"application/grpc"),
        ];
        let (mut stream, _) = proxy.send(&runtime, &pairs);
        proxy.answer(
            &mut stream,
            &[(":status", "200"), ("content-type", content_type)],
        );
        proxy.details.replace(Some(details));
        stream.on_end(&proxy);
        proxy.reads_left(&runtime)
    };
    for (details, left) in [
        ("upstream_reset_after_response_started{remote_reset}", 3),
        (
            "upstream_reset_after_response_started{connection_termination}",
            3,
        ),
        ("upstream_reset_after_response_started{protocol_error}", 3),
        // The response ended without trailers.
        ("via_upstream", 3),
        ("downstream_remote_disconnect", 2),
        ("http2.remote_reset", 2),
        // The client may be the side that does not read.
        ("stream_idle_timeout", 2),
        ("max_duration_timeout", 2),
    ] {
        assert_eq!(call(details, "application/grpc"), left, "{details}");
        assert_eq!(
            call(details, "text/plain"),
            2,
            "{details}: no gRPC service answered"
        );
    }
}

#[test]
fn a_timeout_is_the_fault_of_the_side_that_envoy_waits_for() {
    type End = fn(&mut Stream<Proxy>, &Proxy);
    let ends: [(End, usize); 3] = [
        (|_, _| (), 2),
        (
            |stream, proxy| {
                assert_eq!(
                    stream.on_request_body(proxy, 9, true, &mut slice()),
                    Flow::Continue
                )
            },
            3,
        ),
        (
            |stream, proxy| {
                assert_eq!(
                    stream.on_request_trailers(proxy, &mut slice()),
                    Flow::Continue
                )
            },
            3,
        ),
    ];
    for (end, left) in ends {
        for (status, grpc_status, grpc) in [
            ("408", "-", "-"),
            ("504", "-", "-"),
            ("200", "4", "application/grpc"),
        ] {
            let proxy = Proxy::new();
            let runtime = proxy.runtime(POLICY);
            let pairs: [(&str, &[u8]); 4] = [
                (":method", b"GET"),
                (":path", b"/v2/a"),
                ("x-api-key", b"demo-acme-1"),
                ("content-type", grpc.as_bytes()),
            ];
            let (mut stream, _) = proxy.send(&runtime, &pairs);
            end(&mut stream, &proxy);
            proxy.details.replace(Some("max_duration_timeout"));
            proxy.answer(
                &mut stream,
                &[(":status", status), ("grpc-status", grpc_status)],
            );
            stream.on_end(&proxy);
            assert_eq!(proxy.reads_left(&runtime), left, "{status}");
        }
    }
}

#[test]
fn no_order_of_events_answers_twice_or_refunds_twice() {
    type Event = fn(&mut Stream<Proxy>, &Proxy);
    let events: [Event; 4] = [
        |stream, proxy| {
            stream.on_request_headers(proxy, true);
        },
        |stream, proxy| stream.on_response_headers(proxy),
        |stream, proxy| stream.on_response_trailers(proxy),
        |stream, proxy| stream.on_end(proxy),
    ];
    for order in 0..4_usize.pow(5) {
        let proxy = Proxy::new();
        let runtime = proxy.runtime(POLICY);
        let mut stream = Stream::new(Rc::clone(&runtime), StreamId(1));
        proxy.request.replace(Headers::encode(&[
            (":path", b"/v2/a"),
            (":method", b"GET"),
            ("x-api-key", b"demo-acme-1"),
        ]));
        proxy
            .response
            .replace([(":status".to_owned(), "500".to_owned())].into());
        proxy.details.replace(Some("internal_redirect"));
        let mut heads = 0;
        for step in 0..5 {
            let event = order / 4_usize.pow(step) % 4;
            heads += u64::from(event == 0);
            events[event](&mut stream, &proxy);
        }
        let admitted = proxy.count(
            "policy=.=demo;.;limit=.=reads;.;decision=.=admitted;.;sluicegate_requests_total",
        );
        let back = proxy.refunded("reads", "failed") + proxy.refunded("reads", "redirected");
        assert!(
            back <= admitted
                && proxy.replies.borrow().len() as u64 <= heads.saturating_sub(admitted),
            "order {order}"
        );
    }
}
