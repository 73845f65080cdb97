//! Bodies that are read before their request continues.

use super::*;

#[test]
fn a_held_body_is_read_in_slices_and_never_resumed_before_its_end() {
    let proxy = Proxy::new();
    let policy = proxy.runtime(POLICY);
    let (mut stream, flow) = open(&proxy, &policy, "/held", &[]);
    assert_eq!(flow, Flow::Hold);
    proxy.body.replace(b"{\"a\":1".to_vec());
    assert_eq!(
        stream.on_request_body(&proxy, 6, false, &mut none()),
        Flow::Hold
    );
    assert_eq!(
        work(&proxy, &mut stream, 2),
        Step::Done,
        "it waits for the rest"
    );
    proxy.body.replace(b"{\"a\":1}".to_vec());
    assert_eq!(
        stream.on_request_body(&proxy, 7, true, &mut none()),
        Flow::Hold
    );
    assert_eq!(work(&proxy, &mut stream, 2), Step::Resume);
    // Envoy itself answers, so the request is never resumed.
    let (mut stream, _) = open(&proxy, &policy, "/held", &[]);
    assert_eq!(
        give(&proxy, &mut stream, b"{}", true, &mut none()),
        Flow::Hold
    );
    proxy.answer(&mut stream, &[(":status", "408")]);
    assert_eq!(stream.on_work(&proxy, &mut slice()), Step::Done);
}

#[test]
fn a_held_request_asks_for_its_slot_when_its_body_has_passed() {
    let proxy = Proxy::new();
    let policy = proxy.runtime(POLICY);
    let (mut slow, flow) = open(&proxy, &policy, "/held-pool", &[]);
    assert_eq!(
        (flow, give(&proxy, &mut slow, b"{", false, &mut slice())),
        (Flow::Hold, Flow::Hold)
    );
    let (mut first, _) = open(&proxy, &policy, "/held-pool", &[]);
    assert_eq!(
        give(&proxy, &mut first, b"{}", true, &mut slice()),
        Flow::Continue,
        "the slow one has no slot"
    );
    // Two requests wait, one by its length and one suspended, and the queue has room for one.
    let (mut second, _) = open(&proxy, &policy, "/held-pool", &[("content-length", b"2")]);
    assert_eq!(
        give(&proxy, &mut second, b"{}", false, &mut none()),
        Flow::Hold
    );
    assert_eq!(
        work(&proxy, &mut second, 1),
        Step::Done,
        "the slot resumes it"
    );
    assert_eq!(
        second.on_request_body(&proxy, 2, true, &mut slice()),
        Flow::Wait
    );
    assert_eq!(second.on_request_trailers(&proxy, &mut slice()), Flow::Wait);
    let (mut third, _) = open(&proxy, &policy, "/held-pool", &[]);
    assert_eq!(
        give(&proxy, &mut third, b"{}", true, &mut slice()),
        Flow::Stop
    );
    assert_eq!(
        proxy.replies.borrow_mut().pop().unwrap().details,
        "sluicegate_queue_refused:pool:queue_full"
    );
    first.on_end(&proxy);
    assert!(second.on_queue_answer(&proxy, Answer::Resume));
    assert_eq!(
        second.on_request_body(&proxy, 0, true, &mut slice()),
        Flow::Continue
    );
    // A request whose body is refused asks for no slot.
    proxy.body.replace(b"{]".to_vec());
    assert_eq!(
        slow.on_request_body(&proxy, 2, false, &mut slice()),
        Flow::Stop
    );
    slow.on_end(&proxy);
    assert_eq!(left(&proxy, &policy), "5", "four whose bodies were read");
}

#[test]
fn a_body_that_the_host_does_not_give_goes_no_further() {
    let faults = "policy=.=demo;.;fault=.=host_status;.;sluicegate_faults_total";
    for came in [&b""[..], b"{"] {
        let proxy = Proxy::new();
        let policy = proxy.runtime(POLICY);
        let (mut stream, _) = open(&proxy, &policy, "/json", &[]);
        proxy.body.replace(came.to_vec());
        assert_eq!(
            stream.on_request_body(&proxy, 9, false, &mut slice()),
            Flow::Stop
        );
        let reply = proxy.replies.borrow_mut().pop().unwrap();
        assert_eq!(
            (reply.status, &*reply.details),
            (503, "sluicegate_payload_refused:json:unavailable")
        );
        stream.on_end(&proxy);
        assert_eq!(
            (left(&proxy, &policy), proxy.count(faults)),
            ("9".to_owned(), 1),
            "that is no client's fault"
        );
        // A cost alone refuses no request: an unread body counts as one, and memory is bounded all
        // the same.
        let free = proxy.runtime(&POLICY.replace("  - { name: rest, bytes: 100KB }\n", ""));
        let (mut stream, _) = open(&proxy, &free, "/lines", &[]);
        proxy.body.replace(came.to_vec());
        assert_eq!(
            stream.on_request_body(&proxy, 9, true, &mut slice()),
            Flow::Continue
        );
        assert_eq!(
            proxy.count("policy=.=demo;.;limit=.=lines;.;sluicegate_units_total"),
            1
        );
        assert_eq!(proxy.count(faults), 2);
    }
}

#[test]
fn a_head_that_waits_for_a_body_which_the_host_keeps_is_answered() {
    let proxy = Proxy::new();
    let policy = proxy.runtime(POLICY);
    proxy.received.set(300);
    let (mut kept, flow) = open(&proxy, &policy, "/held", &[]);
    assert_eq!((flow, kept.is_watched()), (Flow::Hold, true));
    assert_eq!(
        kept.on_held(&proxy),
        Step::Again,
        "the client has sent nothing yet"
    );
    proxy.received.set(301);
    assert_eq!(kept.on_held(&proxy), Step::Replied);
    let reply = proxy.replies.borrow_mut().pop().unwrap();
    assert_eq!(
        (reply.status, &*reply.details),
        (503, "sluicegate_payload_refused:held:stop_iteration")
    );
    assert_eq!(
        proxy.count("policy=.=demo;.;fault=.=stop_iteration;.;sluicegate_faults_total"),
        1
    );
    assert_eq!(kept.on_held(&proxy), Step::Done);
    kept.on_end(&proxy);
    assert_eq!(left(&proxy, &policy), "9", "it has paid nothing");
    // A host that gives one held body gives them all.
    let (mut slow, _) = open(&proxy, &policy, "/held", &[]);
    let (mut good, _) = open(&proxy, &policy, "/held", &[]);
    assert_eq!(
        give(&proxy, &mut good, b"{}", true, &mut slice()),
        Flow::Continue
    );
    proxy.received.set(999);
    assert_eq!(slow.on_held(&proxy), Step::Done);
    assert!(!open(&proxy, &policy, "/held", &[]).0.is_watched());
}
