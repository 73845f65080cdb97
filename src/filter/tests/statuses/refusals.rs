//! The balances in a refusal, by limits and by other causes.

use super::*;

#[test]
fn a_cost_that_never_fits_states_the_counter_and_no_time() {
    let cost = "cost: { header: x-cost, trusted: true }";
    for rule in RULES {
        for (body, expected) in [
            (
                "",
                concat!(
                    r#"{"status":429,"title":"Too Many Requests","detail":"The limit one is "#,
                    r#"exceeded: the request costs more than the limit can ever admit."}"#,
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
            assert_eq!(
                stated(&sent),
                [("x-ratelimit-limit", "5"), ("x-ratelimit-remaining", "3")],
                "{rule}"
            );
            assert_eq!(
                (sent.get(RETRY_AFTER), &*sent["x-ratelimit-name"]),
                (None, "one"),
                "{rule}"
            );
            // The numbers are those that the next request finds.
            let next = rig.upstream(&[("x-cost", b"0")], "200", "1");
            assert_eq!(stated(&sent), stated(&next)[..2], "{rule}");
        }
    }
}

#[test]
fn a_cost_that_never_fits_has_no_reset_that_is_a_retry_time() {
    let cost = "cost: { header: x-cost, trusted: true }";
    for rule in RULES {
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
            "limit one exceeded: the request costs more than the limit can ever admit"
        );
        assert_eq!(
            (sent.get(RETRY_AFTER), sent.get("x-ratelimit-reset")),
            (None, None)
        );
        assert_eq!(sent["ratelimit"], "\"one\";r=3", "{rule}");
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
