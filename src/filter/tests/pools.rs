//! Slots, their queue, and seats, over the whole life of a stream.

use super::*;
use crate::queue::stream::{Action, Answer};
use crate::queue::worker::TICK;

const POLICY: &str = r#"
version: 1
name: demo
callers:
  credentials: [{ name: key, header: x-key }]
  unknown: anonymous
  absent: anonymous
  attributes: { user: [{ header: x-user, trusted: true }] }
exempt: [{ routes: ["/free"] }]
limits:
  - { name: all, per: [], calendar: { quota: 9, window: 1d } }
concurrency:
  - { name: pool, for: { routes: ["/work", "/upload"] }, per: [user], slots: 1,
      queue: { length: 2, timeout: 10s }, overrides: [{ for: { user: [big] }, slots: 2,
      queue: { length: 0, timeout: 1s } }, { for: { user: [all] }, slots: unlimited }] }
seats:
  - { name: editor, for: { routes: ["PUT /records/{record}"] }, per: [record], holder: user,
      seats: 1, idle: 60s }
payloads: [{ for: { routes: ["/upload"] }, bytes: 10B }]
replies:
  fields: { family: both, write: [{ name: x-slots, of: [pool], value: "{remaining}/{quota}" }] }
  refused: { content_type: text/plain, body: "{limit} {retry_after} {trace_id}" }
access_log: { attributes: [user] }
"#;

const LEFT: &str = "x-ratelimit-remaining";

fn send(
    proxy: &Proxy,
    policy: &Rc<Runtime<Proxy>>,
    path: &str,
    user: &str,
) -> (Stream<Proxy>, Flow) {
    let method: &[u8] = if path.starts_with("/records") {
        b"PUT"
    } else {
        b"POST"
    };
    proxy.send(
        policy,
        &[
            (":method", method),
            (":path", path.as_bytes()),
            ("x-user", user.as_bytes()),
        ],
    )
}

/// The actions of the worker after this many ticks.
fn tick(proxy: &Proxy, ticks: u64) -> Vec<Action> {
    let worker = proxy.vm.worker.borrow().clone().unwrap();
    let mut actions = Vec::new();
    for _ in 0..ticks {
        proxy.now.set(proxy.now.get().saturating_add(TICK.nanos()));
        actions.extend(worker.borrow_mut().on_tick(
            crate::queue::membership::RootId(1),
            crate::host::stream::Uptime::uptime(proxy),
        ));
    }
    actions
}

fn refused(proxy: &Proxy, reason: &str) -> u64 {
    proxy.count(&format!(
        "policy=.=demo;.;limit=.=pool;.;reason=.={reason};.;sluicegate_queue_refused_total"
    ))
}

fn left(proxy: &Proxy, policy: &Rc<Runtime<Proxy>>) -> String {
    let (mut stream, _) = send(proxy, policy, "/look", "nobody");
    let left = proxy.answer(&mut stream, &[(":status", "200")])[LEFT].clone();
    stream.on_end(proxy);
    left
}

fn the_queue_is_full(proxy: &Proxy, policy: &Rc<Runtime<Proxy>>) {
    let (_, flow) = send(proxy, policy, "/work", "a");
    assert_eq!((flow, refused(proxy, "queue_full")), (Flow::Stop, 1));
    let reply = proxy.replies.borrow_mut().pop().unwrap();
    assert_eq!(
        (reply.status, &*reply.details),
        (429, "sluicegate_queue_refused:pool:queue_full")
    );
    assert!(
        reply
            .headers
            .contains(&("retry-after".into(), "1".to_owned()))
            && reply
                .headers
                .contains(&("x-slots".into(), "0/1".to_owned()))
            && reply.body.starts_with("pool 1 ")
    );
    assert_eq!(
        proxy.take_line().unwrap(),
        "decision=refused limit=pool tier=- user=a"
    );
}

#[test]
fn a_caller_may_have_slots_of_its_own_or_need_none() {
    let proxy = Proxy::new();
    let policy = proxy.runtime(POLICY);
    let mut slots = Vec::new();
    for user in ["big", "big", "all", "all", "all"] {
        let (mut stream, flow) = send(&proxy, &policy, "/work", user);
        assert_eq!(flow, Flow::Continue, "{user}");
        let response = proxy.answer(&mut stream, &[(":status", "200")]);
        slots.push(response.get("x-slots").cloned());
    }
    let stated = |slots: &str| Some(slots.to_owned());
    assert_eq!(slots, [stated("1/2"), stated("0/2"), None, None, None]);
    let (_, flow) = send(&proxy, &policy, "/work", "big");
    assert_eq!((flow, refused(&proxy, "queue_full")), (Flow::Stop, 1));
}

#[test]
fn a_request_without_a_slot_waits_and_goes_on_in_order() {
    let proxy = Proxy::new();
    let policy = proxy.runtime(POLICY);
    let (mut first, flow) = send(&proxy, &policy, "/work", "a");
    assert_eq!(flow, Flow::Continue);
    let mut waiting: Vec<Stream<Proxy>> = (0..2)
        .map(|_| {
            let (stream, flow) = send(&proxy, &policy, "/work", "a");
            assert_eq!(flow, Flow::Wait);
            stream
        })
        .collect();
    assert_eq!(
        send(&proxy, &policy, "/work", "b").1,
        Flow::Continue,
        "another's pool"
    );
    the_queue_is_full(&proxy, &policy);
    let depth = || proxy.count("policy=.=demo;.;limit=.=pool;.;sluicegate_queue_depth");
    assert_eq!(depth(), 2);
    // It ends, and the request that arrived first gets its slot.
    let response = proxy.answer(&mut first, &[(":status", "200")]);
    assert!(
        response["ratelimit-policy"].ends_with("\"pool\";q=1;qu=\"concurrent-requests\""),
        "{response:?}"
    );
    first.on_end(&proxy);
    let actions = tick(&proxy, 1);
    assert_eq!(
        actions
            .iter()
            .map(|action| action.answer)
            .collect::<Vec<_>>(),
        [Answer::Resume]
    );
    let mut second = waiting.remove(0);
    assert!(
        second.on_queue_answer(&proxy, Answer::Resume)
            && !second.on_queue_answer(&proxy, Answer::Resume),
        "once"
    );
    assert_eq!(depth(), 1);
    assert_eq!(
        proxy.count("policy=.=demo;.;limit=.=pool;.;sluicegate_queue_wait_ms"),
        1
    );
    // The other request hangs up, and pays nothing.
    waiting.remove(0).on_end(&proxy);
    assert_eq!(depth(), 0);
    second.on_end(&proxy);
    assert_eq!(tick(&proxy, 1), []);
    assert_eq!(
        left(&proxy, &policy),
        "5",
        "three that were admitted, and the one that asks"
    );
}

#[test]
fn a_request_that_waits_too_long_is_refused_and_pays_nothing() {
    let proxy = Proxy::new();
    let policy = proxy.runtime(POLICY);
    let (_held, _) = send(&proxy, &policy, "/work", "a");
    let (mut late, flow) = send(&proxy, &policy, "/work", "a");
    assert_eq!(flow, Flow::Wait);
    assert_eq!(tick(&proxy, 98), []);
    let actions = tick(&proxy, 3);
    assert_eq!(actions.len(), 1);
    assert!(!late.on_queue_answer(&proxy, actions[0].answer));
    let reply = proxy.replies.borrow_mut().pop().unwrap();
    assert_eq!(reply.details, "sluicegate_queue_refused:pool:queue_timeout");
    assert_eq!(reply.grpc_status, GrpcStatus::ResourceExhausted);
    // Envoy shows the filter its own reply.
    proxy.answer(&mut late, &[(":status", "429")]);
    late.on_end(&proxy);
    assert_eq!(
        (refused(&proxy, "queue_timeout"), left(&proxy, &policy)),
        (1, "7".to_owned())
    );
}

#[test]
fn a_request_that_envoy_answers_while_it_waits_pays_nothing() {
    let proxy = Proxy::new();
    let policy = proxy.runtime(POLICY);
    let (mut first, _) = send(&proxy, &policy, "/work", "a");
    let (mut waiting, _) = send(&proxy, &policy, "/work", "a");
    let sent = proxy.answer(&mut waiting, &[(":status", "504"), (LEFT, "forged")]);
    assert_eq!(sent[LEFT], "8", "its units are refunded");
    first.on_end(&proxy);
    assert_eq!(tick(&proxy, 2), [], "no request waits any more");
    waiting.on_end(&proxy);
    assert_eq!(send(&proxy, &policy, "/work", "a").1, Flow::Continue);
}

#[test]
fn a_limit_or_a_payload_refuses_before_a_request_queues() {
    let proxy = Proxy::new();
    let policy = proxy.runtime(&POLICY.replace("quota: 9", "quota: 1"));
    let head: [(&str, &[u8]); 3] = [
        (":method", b"POST"),
        (":path", b"/upload"),
        ("content-length", b"11"),
    ];
    assert_eq!(proxy.send(&policy, &head).1, Flow::Stop);
    let (mut upload, flow) = send(&proxy, &policy, "/upload", "a");
    assert_eq!(flow, Flow::Continue);
    assert_eq!(
        send(&proxy, &policy, "/work", "a").1,
        Flow::Stop,
        "by the limit"
    );
    assert_eq!(
        proxy.replies.borrow_mut().pop().unwrap().details,
        "sluicegate_refused:all"
    );
    assert_eq!(
        upload.on_request_body(&proxy, 11, false, &mut slice()),
        Flow::Stop
    );
    upload.on_end(&proxy);
    assert_eq!(
        send(&proxy, &policy, "/work", "a").1,
        Flow::Stop,
        "its body was read, so it pays"
    );
    assert_eq!(
        send(&proxy, &proxy.runtime(POLICY), "/work", "a").1,
        Flow::Continue,
        "its slot came back"
    );
}

#[test]
fn a_seat_is_kept_while_its_holder_comes_back() {
    let proxy = Proxy::new();
    let policy = proxy.runtime(POLICY);
    let edit = |record: &str, user: &str| send(&proxy, &policy, record, user).1;
    assert_eq!(edit("/records/7", "alice"), Flow::Continue);
    proxy.wait(30);
    assert_eq!(edit("/records/7", "bob"), Flow::Stop);
    let reply = proxy.replies.borrow_mut().pop().unwrap();
    assert_eq!(
        (reply.status, &*reply.details),
        (423, "sluicegate_refused:editor")
    );
    assert!(
        reply
            .headers
            .contains(&("retry-after".into(), "30".to_owned())),
        "{:?}",
        reply.headers
    );
    assert_eq!(
        proxy.take_line().unwrap(),
        "decision=refused limit=editor tier=- user=bob"
    );
    assert_eq!(
        (edit("/records/8", "bob"), edit("/records/7", "alice")),
        (Flow::Continue, Flow::Continue)
    );
    proxy.wait(59);
    assert_eq!(
        edit("/records/7", "bob"),
        Flow::Stop,
        "a refused try touches nothing"
    );
    proxy.wait(1);
    assert_eq!(edit("/records/7", "bob"), Flow::Continue);
    let name = "policy=.=demo;.;limit=.=editor;.;decision=.=refused;.;sluicegate_requests_total";
    assert_eq!(proxy.count(name), 2);
    let anonymous = proxy
        .send(&policy, &[(":method", b"PUT"), (":path", b"/records/7")])
        .1;
    assert_eq!(
        anonymous,
        Flow::Continue,
        "a caller without the attribute needs no seat"
    );
    assert_eq!(left(&proxy, &policy), "3");
}
