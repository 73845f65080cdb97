//! Without the engine: the flows of requests, and how it is found again.

use super::super::limits::header;
use super::SMALL;
use super::engine::Fleet;
use crate::filter::sharing::CallResult;
use crate::filter::stream::Flow;

/// Sends a request that asks twice in vain. Returns its flow.
fn in_vain(fleet: &mut Fleet) -> Flow {
    assert_eq!(fleet.send(), Flow::Wait);
    assert_eq!(fleet.end(CallResult::Reset), [Flow::Wait]);
    fleet.tick(50);
    let mut flows = fleet.end(CallResult::Reset);
    if flows == [Flow::Wait] {
        flows = fleet.tick(60);
    }
    assert_eq!(flows.len(), 1, "{flows:?}");
    flows[0]
}

#[test]
fn without_the_engine_the_failure_mode_decides() {
    for (mode, flow) in [("allow", Flow::Continue), ("deny", Flow::Stop)] {
        let limit = SMALL.replace("per:", &format!("failure: {mode}, per:"));
        let mut fleet = Fleet::new(&format!("  {limit}"));
        assert_eq!(in_vain(&mut fleet), flow, "{mode}");
        if flow == Flow::Stop {
            let reply = fleet.proxy.replies.borrow_mut().pop().unwrap();
            assert_eq!(header(&reply, "retry-after"), Some("1"));
        }
        let line = fleet.proxy.filter_state.borrow().clone().unwrap();
        assert!(line.contains(" engine=fallback "), "{line}");
        let labels = format!("limit=.=org;.;mode=.={mode};.;");
        assert_eq!(fleet.count(&labels, "engine_fallback_total"), 1);
    }
}

#[test]
fn a_proxy_that_counts_on_its_own_has_one_share() {
    let limit = "- { name: org, per: [org], scope: global, failure: local,
            rolling: { quota: 6, window: 1m } }";
    let mut fleet = Fleet::new(&format!("  {limit}"));
    assert_eq!(in_vain(&mut fleet), Flow::Continue);
    // The third fault opens the breaker.
    assert_eq!(fleet.send(), Flow::Wait);
    assert_eq!(fleet.end(CallResult::Reset), [Flow::Continue]);
    assert_eq!(fleet.count("", "engine_open"), 1);
    assert_eq!(fleet.send(), Flow::Continue);
    for _ in 0..9 {
        assert_eq!(fleet.send(), Flow::Stop, "half of the quota is gone");
    }
    let reply = fleet.proxy.replies.borrow_mut().pop().unwrap();
    assert_eq!(header(&reply, "x-ratelimit-limit"), Some("3"));
    assert_eq!(fleet.send_as("other", &[]), Flow::Continue);
}

#[test]
fn one_request_probes_whether_the_engine_is_back() {
    let mut fleet = Fleet::new(&format!("  {SMALL}"));
    in_vain(&mut fleet);
    fleet.send();
    fleet.end(CallResult::Reset);
    let calls = fleet.proxy.calls.borrow().len();
    assert_eq!(fleet.send(), Flow::Continue);
    fleet.tick(700);
    assert_eq!(fleet.proxy.calls.borrow().len(), calls, "nothing is sent");
    // The lost report is sent again, which is the probe.
    fleet.tick(600);
    assert_eq!(fleet.proxy.calls.borrow().len(), calls + 1);
    assert_eq!(fleet.send(), Flow::Continue, "only the probe waits");
    fleet.answer();
    assert_eq!(fleet.count("", "engine_open"), 0);
    assert_eq!(fleet.send_as("other", &[]), Flow::Wait);
}

#[test]
fn an_engine_that_was_restarted_is_found_though_it_lost_the_script() {
    let mut fleet = Fleet::new(&format!("  {SMALL}"));
    in_vain(&mut fleet);
    fleet.send();
    fleet.end(CallResult::Reset);
    fleet.tick(1_300);
    let unknown = b"-NOSCRIPT No matching script. Please use EVAL.\r\n+OK\r\n";
    fleet.end(CallResult::Answered(unknown));
    fleet.tick(20);
    fleet.answer();
    assert_eq!(fleet.count("", "engine_open"), 0);
    assert_eq!(fleet.send_as("other", &[]), Flow::Wait);
}

#[test]
fn an_engine_that_lost_the_script_gets_it_with_the_next_call() {
    let mut fleet = Fleet::new(&format!("  {SMALL}"));
    fleet.send();
    let unknown = b"-NOSCRIPT No matching script. Please use EVAL.\r\n+OK\r\n";
    assert_eq!(fleet.end(CallResult::Answered(unknown)), [Flow::Wait]);
    assert!(
        fleet.pending().is_empty(),
        "no call is made in the callback of another"
    );
    fleet.tick(20);
    let (has_script, _) = fleet.pending().remove(0);
    assert!(has_script);
    assert_eq!(fleet.answer(), [Flow::Continue]);
    fleet.send();
    assert!(!fleet.pending().remove(0).0);
    assert_eq!(fleet.count("outcome=.=script;.;", "engine_calls_total"), 1);
}

#[test]
fn what_is_no_answer_is_a_fault_of_the_engine() {
    for (bytes, outcome) in [
        ("-OOM command not allowed\r\n+OK\r\n", "refused"),
        ("-READONLY You can't write\r\n+OK\r\n", "refused"),
        ("-BUSY Redis is busy\r\n+OK\r\n", "refused"),
        ("-NOAUTH Authentication required.\r\n+OK\r\n", "refused"),
        ("HTTP/1.1 400 Bad Request\r\n\r\n", "refused"),
        ("*10\r\n:1\r\n", "refused"),
        ("", "refused"),
        ("-ERR user_script:1: oops\r\n+OK\r\n", "script"),
    ] {
        let mut fleet = Fleet::new(&format!("  {SMALL}"));
        fleet.send();
        let flows = fleet.end(CallResult::Answered(bytes.as_bytes()));
        assert_eq!(flows, [Flow::Wait], "{bytes}");
        let labels = format!("outcome=.={outcome};.;");
        assert_eq!(fleet.count(&labels, "engine_calls_total"), 1, "{bytes}");
    }
    let mut fleet = Fleet::new(&format!("  {SMALL}"));
    fleet.send();
    fleet.end(CallResult::Refused(
        b"upstream connect error ... reset reason: overflow",
    ));
    assert_eq!(
        fleet.count("outcome=.=overflow;.;", "engine_calls_total"),
        1
    );
}

#[test]
fn a_crowd_that_waits_goes_on_in_parts_without_a_delay() {
    let mut fleet = Fleet::new(&format!("  {SMALL}"));
    for _ in 0..200 {
        assert_eq!(fleet.send(), Flow::Wait);
    }
    let (mut admitted, mut refused) = (0, 0);
    for _ in 0..40 {
        let flows = if fleet.pending().is_empty() {
            let period = fleet.runtime.share_period().unwrap();
            fleet.tick(period.micros().div_ceil(1_000))
        } else {
            fleet.answer()
        };
        assert!(flows.len() <= 64, "the stack of a VM bears no more");
        admitted += flows.iter().filter(|flow| **flow == Flow::Continue).count();
        refused += flows.iter().filter(|flow| **flow == Flow::Stop).count();
    }
    assert_eq!((admitted, refused), (2, 198));
    let calls = fleet.proxy.calls.borrow().len();
    assert!(calls <= 6, "{calls}");
}

#[test]
fn a_flood_of_callers_has_a_bound_and_starves_nobody() {
    let mut fleet = Fleet::new(&format!("  {SMALL}"));
    let flood = |fleet: &mut Fleet, from: u32| {
        for org in from..from + 5_000 {
            fleet.send_as(&org.to_string(), &[]);
        }
    };
    flood(&mut fleet, 0);
    let waiting = fleet.waiting.len();
    assert!((4_000..4_600).contains(&waiting), "{waiting} wait");
    for (_, mut stream) in std::mem::take(&mut fleet.waiting) {
        stream.on_end(&fleet.proxy);
    }
    fleet.tick(20);
    assert_eq!(
        fleet.send(),
        Flow::Wait,
        "a lease that is not needed is forgotten"
    );
    let mut admitted = false;
    for _ in 0..10 {
        let flows = if fleet.pending().is_empty() {
            fleet.tick(20)
        } else {
            fleet.answer()
        };
        admitted |= flows.contains(&Flow::Continue);
    }
    assert!(admitted);
}
