//! The stated balance holds for the next request, in every order of events.

use super::*;

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

    /// After every fate of a request, the next one, which only reads the counter, finds the stated
    /// balance.
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
            // A request that never fits has no time to come back.
            let never_fits = match step {
                Step::Upstream { cost, .. } => cost > 5 && !sent.contains_key(":status"),
                Step::Refused(_) | Step::Wait(_) => false,
            };
            let names: &[&str] = if never_fits && !sent.contains_key(RETRY_AFTER) {
                &["x-ratelimit-limit", "x-ratelimit-remaining", "x-ratelimit-overage"]
            } else {
                &[
                    "x-ratelimit-limit",
                    "x-ratelimit-remaining",
                    "x-ratelimit-reset",
                    "x-ratelimit-overage",
                    "ratelimit",
                ]
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
