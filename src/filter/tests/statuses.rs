//! A response states the counters after everything that its request caused.

mod properties;
mod refusals;
mod resets;

use proptest::prelude::*;

use super::rig::{RETRY_AFTER, RULES, Refusal, Rig, Sent, policy};
use super::*;
use crate::queue::stream::Answer;

/// The fields that state a counter.
fn stated(sent: &Sent) -> Vec<(&str, &str)> {
    let names = [
        "x-ratelimit-limit",
        "x-ratelimit-remaining",
        "x-ratelimit-reset",
        "x-ratelimit-overage",
        "ratelimit",
    ];
    names
        .iter()
        .filter_map(|name| Some((*name, &**sent.get(*name)?)))
        .collect()
}

#[test]
fn a_request_that_took_nothing_states_a_full_counter() {
    for (rule, reset, standard) in [
        (RULES[0], "0", r#""one";r=5"#),
        (RULES[1], "0", r#""one";r=5"#),
        (RULES[2], "2800", r#""one";r=5;t=2800"#),
    ] {
        let mut rig = Rig::new(&policy(rule, "fields: { family: both }"));
        let expected = [
            ("x-ratelimit-limit", "5"),
            ("x-ratelimit-remaining", "5"),
            ("x-ratelimit-reset", reset),
            ("ratelimit", standard),
        ];
        for status in ["400", "404", "500", "503"] {
            assert_eq!(
                stated(&rig.upstream(&[], status, "1")),
                expected,
                "{rule}: {status}"
            );
        }
        for how in [Refusal::QueueFull, Refusal::Seat, Refusal::Head] {
            let (status, sent) = rig.refused(how);
            assert_eq!(
                (status, &stated(&sent)[..]),
                (how.status(), &expected[..]),
                "{rule}: {how:?}"
            );
        }
        let (_, sent) = rig.refused(Refusal::QueueTimeout);
        assert_eq!(stated(&sent)[..2], expected[..2], "{rule}");
        // The same holds for a held body.
        let success = rig.upstream(&[], "200", "1");
        assert_eq!(success["x-ratelimit-remaining"], "4", "{rule}");
        let (_, sent) = rig.refused(Refusal::Body);
        assert_eq!(
            sent["x-ratelimit-remaining"], "3",
            "{rule}: a body that was read is charged"
        );
        for reason in ["queue_refused", "failed"] {
            assert!(rig.proxy.refunded("one", reason) > 0, "{rule}: {reason}");
        }
        rig.slot.on_end(&rig.proxy);
    }
}

#[test]
fn the_limit_that_is_shown_is_chosen_after_the_refund() {
    let text = policy(
        "bucket: { burst: 5, refill: 1/h } }\n  - { name: two, for: { routes: [\"/a/**\"] }, \
         per: [], rolling: { quota: 4, window: 1h }",
        "fields: { family: both, with: [name] }",
    );
    let rig = Rig::new(&text);
    for (status, name, left) in [
        ("200", "two", "3"),
        ("200", "two", "2"),
        ("404", "two", "1"),
        ("404", "two", "0"),
    ] {
        let sent = rig.upstream(&[], status, "1");
        assert_eq!(
            (&*sent["x-ratelimit-name"], &*sent["x-ratelimit-remaining"]),
            (name, left)
        );
        let one = if left == "3" { 4 } else { 3 };
        assert!(
            sent["ratelimit"].starts_with(&format!("\"one\";r={one};")),
            "{sent:?}"
        );
    }
    // The other way round: before the refund the first limit had fewer units left.
    let rig = Rig::new(&text.replace("burst: 5", "burst: 4"));
    assert_eq!(rig.upstream(&[], "200", "1")["x-ratelimit-name"], "one");
    assert_eq!(rig.upstream(&[], "404", "1")["x-ratelimit-name"], "two");
}

#[test]
fn the_standards_policies_are_the_same_on_every_response() {
    let limits = "bucket: { burst: 2, refill: 1/h } }
  - { name: wide, for: { routes: [\"/a/**\"] }, per: [], rolling: { quota: 50, window: 1h } }
  - { name: hidden, for: { routes: [\"/a/**\"] }, per: [], fields: hide, calendar: { quota: 60, \
  window: 1d }
    , overrides: [{ for: { user: few }, quota: 1 }] }
  - { name: dear, for: { routes: [\"/a/**\"] }, per: [], cost: { header: x-cost, trusted: true }, \
  rolling: { quota: 70, window: 1h }";
    let rig = Rig::new(&policy(limits, "fields: { family: ietf }"));
    let shown = r#""one";q=2;w=7200, "wide";q=50;w=3600, "dear";q=70;w=3600"#;
    let pool = r#", "pool";q=1;qu="concurrent-requests""#;
    for (more, status, counters) in [
        (
            &[][..],
            "200",
            r#""one";r=1;t=3600, "wide";r=49;t=3600, "dear";r=69;t=3600"#,
        ),
        (
            &[],
            "404",
            r#""one";r=1;t=3600, "wide";r=48;t=3600, "dear";r=68;t=3600"#,
        ),
        (
            &[("x-cost", &b"71"[..])],
            "200",
            // It never fits.
            r#""one";r=1, "wide";r=48, "dear";r=68"#,
        ),
        (
            &[],
            "200",
            r#""one";r=0;t=3600, "wide";r=47;t=3600, "dear";r=67;t=3600"#,
        ),
        (
            &[],
            "200",
            r#""one";r=0;t=3600, "wide";r=47;t=3600, "dear";r=67;t=3600"#,
        ),
        (
            &[("content-length", b"99")],
            "",
            r#""one";r=0;t=3600, "wide";r=47;t=3600, "dear";r=67;t=3600"#,
        ),
    ] {
        let sent = rig.upstream(more, status, "");
        assert_eq!(
            (&*sent["ratelimit-policy"], &*sent["ratelimit"]),
            (shown, counters),
            "{more:?}"
        );
    }
    // A request that needs a slot also gets the pool listed, even if a limit refuses first.
    assert_eq!(rig.send("/a/pool", &[]).1, Flow::Stop);
    assert_eq!(rig.reply().1["ratelimit-policy"], [shown, pool].concat());
    assert_eq!(
        rig.send("/a/pool", &[("content-length", b"99")]).1,
        Flow::Stop
    );
    assert_eq!(rig.reply().1["ratelimit-policy"], [shown, pool].concat());
    // A hidden limit is listed if it refuses.
    rig.proxy.wait(3_600);
    assert_eq!(rig.send("/a/x", &[("x-user", b"few")]).1, Flow::Stop);
    let (_, sent, _) = rig.reply();
    assert!(
        sent["ratelimit-policy"].contains(r#""hidden";q=1;w=86400, "dear""#),
        "{sent:?}"
    );
    // A limit whose counter cannot be read is listed, without the units left.
    rig.proxy.data.fault.set(Some(Fault::HostStatus(10)));
    let sent = rig.upstream(&[], "200", "");
    assert_eq!(
        (&*sent["ratelimit-policy"], sent.get("ratelimit")),
        (shown, None)
    );
}

#[test]
fn overage_is_stated_in_the_family_that_it_belongs_to() {
    let rule = "calendar: { quota: 5, window: 1d }, over: count, cost: { response_header: x-cost }";
    for (family, over) in [
        ("x-ratelimit", Some("3")),
        ("both", Some("3")),
        ("ietf", None),
    ] {
        let mut rig = Rig::new(&policy(rule, &format!("fields: {{ family: {family} }}")));
        let sent = rig.upstream(&[], "200", "8");
        assert_eq!(
            sent.get("x-ratelimit-overage").map(|over| &**over),
            over,
            "{family}"
        );
        for how in Refusal::ALL {
            let (_, sent) = rig.refused(how);
            // A request whose body was read pays.
            let over = over.map(|over| if how == Refusal::Body { "4" } else { over });
            assert_eq!(
                sent.get("x-ratelimit-overage").map(|over| &**over),
                over,
                "{family}: {how:?}"
            );
        }
    }
    let rig = Rig::new(&policy(
        "rolling: { quota: 5, window: 1h }, cost: { response_header: x-cost }",
        "",
    ));
    assert_eq!(rig.upstream(&[], "200", "8")["x-ratelimit-overage"], "3");
    assert_eq!(
        rig.upstream(&[], "200", "8")["x-ratelimit-overage"],
        "3",
        "a refusal tells it, too"
    );
}

#[test]
#[expect(clippy::too_many_lines, reason = "one table of cases")]
fn only_a_request_that_nothing_refuses_is_counted_as_admitted() {
    let rule = format!("{}, over: count", RULES[2]);
    let mut rig = Rig::new(&policy(&rule, ""));
    let counted = |rig: &Rig, name: &str| rig.proxy.count(&format!("policy=.=demo;.;{name}"));
    let admitted = |rig: &Rig| {
        counted(
            rig,
            "limit=.=one;.;decision=.=admitted;.;sluicegate_requests_total",
        )
    };
    for how in Refusal::ALL {
        rig.refused(how);
    }
    assert_eq!(admitted(&rig), 0);
    for (name, count) in [
        (
            "limit=.=one;.;reason=.=queue_refused;.;sluicegate_refunds_total",
            2,
        ),
        (
            "limit=.=one;.;reason=.=payload_refused;.;sluicegate_refunds_total",
            0,
        ),
        (
            "limit=.=one;.;reason=.=queue_left;.;sluicegate_refunds_total",
            0,
        ),
        (
            "limit=.=pool;.;reason=.=queue_full;.;sluicegate_queue_refused_total",
            1,
        ),
        (
            "limit=.=pool;.;reason=.=queue_timeout;.;sluicegate_queue_refused_total",
            1,
        ),
        (
            "limit=.=seat;.;decision=.=refused;.;sluicegate_requests_total",
            1,
        ),
        (
            "limit=.=body;.;reason=.=bytes;.;sluicegate_payloads_refused_total",
            2,
        ),
        ("limit=.=one;.;sluicegate_overage_units_total", 0),
        ("status=.=429;.;sluicegate_refused_requests_total", 2),
        ("status=.=423;.;sluicegate_refused_requests_total", 1),
        ("status=.=413;.;sluicegate_refused_requests_total", 2),
    ] {
        assert_eq!(counted(&rig, name), count, "{name}");
    }
    // A request whose body has arrived is admitted. One that hangs up has begun, and one that waits
    // has not.
    rig.upstream(&[], "200", "1");
    assert_eq!(admitted(&rig), 1);
    let (mut stream, _) = rig.send("/a/x", &[]);
    assert_eq!(admitted(&rig), 1);
    stream.on_end(&rig.proxy);
    assert_eq!(admitted(&rig), 2);
    let (mut waiting, flow) = rig.send("/a/pool", &[]);
    assert_eq!(flow, Flow::Wait);
    waiting.on_end(&rig.proxy);
    assert_eq!(
        (admitted(&rig), rig.proxy.refunded("one", "queue_left")),
        (2, 1)
    );
    let (mut waiting, _) = rig.send("/a/pool", &[]);
    rig.slot.on_end(&rig.proxy);
    assert!(waiting.on_queue_answer(&rig.proxy, Answer::Resume));
    assert_eq!(admitted(&rig), 2, "its body may be refused yet");
    waiting.on_request_body(&rig.proxy, 9, true, &mut super::slice());
    assert_eq!(admitted(&rig), 3);
}
