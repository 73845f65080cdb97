//! A response states the counters after everything that its request caused.

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
            "{rule}: what was read is paid"
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
        "bucket: { burst: 5, refill: 1/h } }\n  - { name: two, for: { routes: [\"/a/**\"] }, per: \
         [], rolling: { quota: 4, window: 1h }",
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
fn a_cost_that_never_fits_states_the_counter_and_no_time() {
    let cost = "cost: { header: x-cost, trusted: true }";
    for (rule, reset, more) in [
        (RULES[0], 7_200, 3_600),
        (RULES[1], 3_600, 3_600),
        (RULES[2], 2_800, 2_800),
    ] {
        for (body, expected) in [
            (
                "",
                concat!(
                    r#"{"status":429,"title":"Too Many Requests","detail":"The limit one is "#,
                    r#"exceeded: the request costs more than it ever admits."}"#,
                ),
            ),
            (
                ", refused: { content_type: application/json, body: '{\"in\":{retry_after}}' }",
                r#"{"in":null}"#,
            ),
        ] {
            let rig = Rig::new(&policy(
                &format!("{rule}, {cost}"),
                &format!("fields: {{ family: x-ratelimit, with: [name] }}{body}"),
            ));
            for _ in 0..2 {
                rig.upstream(&[], "200", "1");
            }
            assert_eq!(rig.send("/a/x", &[("x-cost", b"6")]).1, Flow::Stop);
            let (status, sent, reply) = rig.reply();
            assert_eq!((status, &*reply.body), (429, expected), "{rule}");
            let reset = reset.to_string();
            assert_eq!(
                stated(&sent),
                [
                    ("x-ratelimit-limit", "5"),
                    ("x-ratelimit-remaining", "3"),
                    ("x-ratelimit-reset", &*reset)
                ],
                "{rule}"
            );
            assert_eq!(
                (sent.get(RETRY_AFTER), &*sent["x-ratelimit-name"]),
                (None, "one"),
                "{rule}"
            );
            // The numbers are those that the next request finds.
            let next = rig.upstream(&[("x-cost", b"0")], "200", "1");
            assert_eq!(stated(&sent), stated(&next), "{rule}");
        }
        let rig = Rig::new(&policy(
            &format!("{rule}, {cost}"),
            "fields: { family: both, reset: retry-after }",
        ));
        for _ in 0..2 {
            rig.upstream(&[], "200", "1");
        }
        assert_eq!(
            rig.send(
                "/a/x",
                &[("x-cost", b"6"), ("content-type", b"application/grpc")]
            )
            .1,
            Flow::Stop
        );
        let (_, sent, reply) = rig.reply();
        assert_eq!(
            reply.body,
            "limit one exceeded: the request costs more than it ever admits"
        );
        assert_eq!(
            (sent.get(RETRY_AFTER), sent.get("x-ratelimit-reset")),
            (None, None)
        );
        assert_eq!(sent["ratelimit"], format!("\"one\";r=3;t={more}"), "{rule}");
        assert_eq!(rig.send("/a/x", &[("x-cost", b"6")]).1, Flow::Stop);
        assert!(
            rig.reply()
                .2
                .body
                .contains(r#""violated-policies":["one"]"#)
        );
    }
}

#[test]
fn a_calendars_reset_is_the_end_of_its_window_whenever_a_cost_is_known() {
    const END: u64 = 1_700_002_800;
    for cost in [
        "cost: 1",
        "cost: { header: x-cost, trusted: true }",
        "cost: { response_header: x-cost }",
        "cost: { bytes: request }",
        "cost: { lines: request }",
        "cost: { items: /a }",
    ] {
        for charge in ["charge: admitted", "charge: success"] {
            let rule = format!("{}, {cost}", RULES[2].replace("quota: 5", "quota: 2"));
            let text = policy(
                &rule,
                "fields: { family: x-ratelimit, reset: unix-seconds }",
            );
            let mut rig = Rig::new(&text.replace("charge: success", charge));
            rig.proxy.tick.set(1_234);
            let mut statuses = Vec::new();
            for status in ["404", "200", "503", "200", "200", "200"] {
                let (mut stream, flow) = rig.send("/a/x", &[]);
                let sent = if flow == Flow::Stop {
                    rig.reply().1
                } else {
                    rig.proxy.body.replace(b"a".to_vec());
                    stream.on_request_body(&rig.proxy, 1, false, &mut super::slice());
                    stream.on_request_body(&rig.proxy, 0, true, &mut super::slice());
                    rig.proxy
                        .answer(&mut stream, &[(":status", status), ("x-cost", "1")])
                };
                assert_eq!(
                    sent["x-ratelimit-reset"],
                    END.to_string(),
                    "{cost}, {charge}: {status}"
                );
                statuses.push(flow);
            }
            assert!(statuses.contains(&Flow::Stop), "{cost}, {charge}");
            for how in [
                Refusal::QueueFull,
                Refusal::QueueTimeout,
                Refusal::Seat,
                Refusal::Head,
                Refusal::Body,
            ] {
                let (_, sent) = rig.refused(how);
                assert_eq!(
                    sent["x-ratelimit-reset"],
                    END.to_string(),
                    "{cost}, {charge}: {how:?}"
                );
            }
        }
    }
}

#[test]
fn a_refusal_by_a_pool_a_seat_or_a_payload_carries_the_fields_of_a_refusal() {
    let policies = r#""one";q=5;w=3600"#;
    for (family, standard, older) in [
        ("x-ratelimit", false, true),
        ("ietf", true, false),
        ("both", true, true),
    ] {
        for when in ["always", "refused"] {
            let form = if older {
                ", reset: retry-after, with: [name, period]"
            } else {
                ""
            };
            let text = policy(
                RULES[1],
                &format!("fields: {{ family: {family}, when: {when}{form} }}"),
            );
            let mut rig = Rig::new(&text);
            let answered = rig.upstream(&[], "200", "1");
            assert_eq!(
                answered.keys().any(|name| name.contains("ratelimit")),
                when == "always",
                "{answered:?}"
            );
            for how in Refusal::ALL {
                let (_, sent) = rig.refused(how);
                let case = format!("{family}, {when}, {how:?}: {sent:?}");
                let left = if how == Refusal::Body { "3" } else { "4" };
                assert_eq!(sent.contains_key("x-ratelimit-limit"), older, "{case}");
                assert_eq!(sent.contains_key("x-ratelimit-period"), older, "{case}");
                assert_eq!(
                    sent.get("x-ratelimit-remaining").map(|left| &**left),
                    older.then_some(left),
                    "{case}"
                );
                // No limit refused.
                assert_eq!(sent.get("x-ratelimit-name"), None, "{case}");
                assert_eq!(
                    sent.get("x-ratelimit-reset"),
                    sent.get(RETRY_AFTER).filter(|_| older),
                    "{case}"
                );
                assert_eq!(
                    sent.contains_key(RETRY_AFTER),
                    how.status() != 413,
                    "{case}"
                );
                let pool = r#", "pool";q=1;qu="concurrent-requests""#;
                let asked = matches!(how, Refusal::QueueFull | Refusal::QueueTimeout);
                let all = format!("{policies}{}", if asked { pool } else { "" });
                assert_eq!(
                    sent.get("ratelimit-policy"),
                    standard.then_some(&all),
                    "{case}"
                );
                let stated = sent
                    .get("ratelimit")
                    .is_some_and(|stated| stated.starts_with(&format!(r#""one";r={left};t="#)));
                assert_eq!(stated, standard, "{case}");
            }
        }
    }
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
        (&[("x-cost", &b"71"[..])], "200", r#""dear";r=68;t=3600"#),
        (
            &[],
            "200",
            r#""one";r=0;t=3600, "wide";r=47;t=3600, "dear";r=67;t=3600"#,
        ),
        (&[], "200", r#""one";r=0;t=3600"#),
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
fn no_reset_lies_beyond_the_window_after_a_step_of_the_clock() {
    for rule in [
        RULES[0],
        RULES[1],
        "rolling: { quota: 500, window: 1h }",
        "calendar: { quota: 5, window: 1h }",
    ] {
        for back in [10, 3_000, 3_600, 45 * 86_400] {
            let window = if rule == RULES[0] { 5 * 3_600 } else { 3_600 };
            for refuses in [false, true] {
                let mut rig = Rig::new(&policy(rule, "fields: { family: both }"));
                let count = if refuses && !rule.contains("500") {
                    5
                } else {
                    2
                };
                for _ in 0..count {
                    rig.upstream(&[], "200", "1");
                }
                rig.proxy
                    .now
                    .set(rig.proxy.now.get() - back * 1_000_000_000);
                let rule = format!("{rule}, {back} s, {refuses}");
                let assert_within = |sent: &Sent| {
                    let reset: u64 = sent["x-ratelimit-reset"].parse().unwrap();
                    assert!(reset <= window, "{rule}: {sent:?}");
                    if let Some((_, more)) = sent
                        .get("ratelimit")
                        .and_then(|stated| stated.split_once(";t="))
                    {
                        assert!(more.parse::<u64>().unwrap() <= window, "{rule}: {sent:?}");
                    }
                };
                assert_within(&rig.upstream(&[], "200", "1"));
                assert_within(&rig.upstream(&[], "404", "1"));
                for how in [Refusal::Seat, Refusal::Head, Refusal::Body] {
                    assert_within(&rig.refused(how).1);
                }
                // The promise is kept: after that time the quota is full.
                let sent = rig.upstream(&[], "200", "1");
                let reset: u64 = sent["x-ratelimit-reset"].parse().unwrap();
                rig.proxy.wait(reset);
                let full = rig.upstream(&[], "404", "1");
                assert!(
                    ["5", "500"].contains(&&*full["x-ratelimit-remaining"]),
                    "{rule}: {full:?}"
                );
            }
        }
    }
}

#[test]
fn a_clock_that_steps_back_while_the_upstream_works_is_no_later_reset() {
    for rule in RULES {
        let rig = Rig::new(&policy(
            rule,
            "fields: { family: x-ratelimit, reset: unix-seconds }",
        ));
        let (mut stream, _) = rig.send("/a/x", &[]);
        stream.on_request_body(&rig.proxy, 0, true, &mut super::slice());
        let now = rig.proxy.now.get() - 45 * 86_400 * 1_000_000_000;
        rig.proxy.now.set(now);
        let reset: u64 = rig.proxy.answer(&mut stream, &[(":status", "200")])["x-ratelimit-reset"]
            .parse()
            .unwrap();
        assert!(reset <= now / 1_000_000_000 + 86_400, "{rule}: {reset}");
    }
}

#[test]
fn only_a_request_that_nothing_refuses_is_counted_as_admitted() {
    let rule = format!("{}, over: count", RULES[2]);
    let mut rig = Rig::new(&policy(&rule, ""));
    let counted = |rig: &Rig, name: &str| rig.proxy.count(&format!("policy.=.demo;.;{name}"));
    let admitted = |rig: &Rig| {
        counted(
            rig,
            "limit.=.one;.;decision.=.admitted;.;sluicegate_requests_total",
        )
    };
    for how in Refusal::ALL {
        rig.refused(how);
    }
    assert_eq!(admitted(&rig), 0);
    for (name, count) in [
        (
            "limit.=.one;.;reason.=.queue_refused;.;sluicegate_refunds_total",
            2,
        ),
        (
            "limit.=.one;.;reason.=.payload_refused;.;sluicegate_refunds_total",
            0,
        ),
        (
            "limit.=.one;.;reason.=.queue_left;.;sluicegate_refunds_total",
            0,
        ),
        (
            "limit.=.pool;.;reason.=.queue_full;.;sluicegate_queue_refused_total",
            1,
        ),
        (
            "limit.=.pool;.;reason.=.queue_timeout;.;sluicegate_queue_refused_total",
            1,
        ),
        (
            "limit.=.seat;.;decision.=.refused;.;sluicegate_requests_total",
            1,
        ),
        (
            "limit.=.body;.;reason.=.bytes;.;sluicegate_payloads_refused_total",
            2,
        ),
        ("limit.=.one;.;sluicegate_overage_units_total", 0),
    ] {
        assert_eq!(counted(&rig, name), count, "{name}");
    }
    // A request whose body has come is admitted. One that hangs up has begun, and one that waits
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

/// One request of a random history.
#[derive(Clone, Copy, Debug)]
enum Step {
    Upstream { status: &'static str, cost: u64 },
    Refused(Refusal),
    Wait(u64),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let status = proptest::sample::select(vec!["200", "204", "404", "503"]);
    let step = prop_oneof![
        4 => (status, 0..8_u64).prop_map(|(status, cost)| Step::Upstream { status, cost }),
        3 => proptest::sample::select(Refusal::ALL.to_vec()).prop_map(Step::Refused),
        2 => (1..5_000_u64).prop_map(Step::Wait),
    ];
    proptest::collection::vec(step, 1..40)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    /// Whatever happened to a request, the next one that only reads the counter finds the same.
    #[test]
    fn the_next_request_finds_what_was_stated(
        steps in steps(),
        rule in proptest::sample::select(RULES.to_vec()),
        charge in proptest::sample::select(vec!["charge: success", "charge: admitted"]),
        cost in proptest::sample::select(vec![
            "{ header: x-cost, trusted: true }",
            "{ \
            response_header: x-cost }",
            "1",
        ]),
    ) {
        let replies = "fields: { family: both }";
        let text = policy(&format!("{rule}, cost: {cost}"), replies).replace(
            "charge: \
            success",
            charge,
        );
        let mut rig = Rig::new(&text);
        let looks = rig
            .proxy
            .runtime(&policy(&format!("{rule}, cost: 0"), replies));
        for step in steps {
            let sent = match step {
                Step::Wait(seconds) => {
                    rig.proxy.wait(seconds);
                    continue;
                }
                Step::Upstream { status, cost } => {
                    let cost = cost.to_string();
                    let heavy = [("x-cost", cost.as_bytes())];
                    rig.upstream(&heavy, status, &cost)
                }
                Step::Refused(how) => rig.refused(how).1,
            };
            let (mut look, _) = rig
                .proxy
                .send(&looks, &[(":method", b"GET"), (":path", b"/a/x")]);
            let seen = rig.proxy.answer(&mut look, &[(":status", "200")]);
            // A refusal by the limit states that nothing remains for such a request.
            let names: &[&str] = match sent.get(RETRY_AFTER) {
                Some(_) if matches!(step, Step::Upstream { .. }) => {
                    &["x-ratelimit-limit", "x-ratelimit-reset"]
                }
                Some(_) | None => &[
                    "x-ratelimit-limit",
                    "x-ratelimit-remaining",
                    "x-ratelimit-reset",
                    "x-ratelimit-overage",
                    "ratelimit",
                ],
            };
            for name in names {
                prop_assert_eq!(
                    sent.get(*name),
                    seen.get(*name),
                    "{} after {:?}: \
                    {:?}",
                    name,
                    step,
                    &sent
                );
            }
            look.on_end(&rig.proxy);
        }
    }
}
