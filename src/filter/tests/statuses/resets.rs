//! The reset of a calendar window, and clocks that step back.

use super::*;

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
