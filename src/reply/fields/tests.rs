use super::*;
use crate::base::id::Id as _;
use crate::host::headers::Headers;
use crate::limit::{Balance, Cost, Decision, FailureMode};
use crate::policy::document::from_yaml;
use crate::store::key::KeyMaker;

const POOL: PoolStatus = PoolStatus {
    pool: PoolId::FIRST,
    slots: 4,
    free: None,
    route: None,
};

const NOW: Timestamp = Timestamp::from_nanos(1_700_000_000_000_000_000);

/// Limits of all kinds that the fields treat differently: `hidden` is not shown, and `counted` has
/// an overage.
fn policy(replies: &str) -> Policy {
    let text = format!(
        r#"
version: 1
name: demo
limits:
  - {{ name: many, per: [], bucket: {{ burst: 9, refill: 1/min }} }}
  - {{ name: few, per: [], bucket: {{ burst: 3, refill: 1/min }} }}
  - {{ name: hidden, per: [], bucket: {{ burst: 1, refill: 1/min }}, fields: hide }}
  - {{ name: counted, per: [], calendar: {{ quota: 5, window: 1d }}, over: count }}
concurrency: [{{ name: pool, per: [], slots: 4, queue: {{ length: 1, timeout: 1s }} }}]
replies: {replies}
"#
    );
    Policy::compile(&from_yaml(&text).unwrap()).unwrap()
}

/// The status of the limit with this number, with this answer.
fn status(policy: &Policy, number: u16, answer: Decision) -> LimitStatus {
    let key = KeyMaker::new(&[0; 16], 9).partition(b"a").finish();
    let id = LimitId::new(number);
    let rule = policy.limits.get(id).unwrap().rule.rule;
    let mut check = LimitCheck::new(
        CounterOwner::Limit(id),
        key,
        rule,
        Cost::Now(1),
        FailureMode::Deny,
    );
    (check.answer, check.at) = (Ok(answer), NOW);
    LimitStatus::of(&check, policy).unwrap()
}

fn balance(remaining: u64, over: u64) -> Balance {
    Balance {
        remaining,
        overage: over,
        next_unit_in: Span::from_seconds(10),
        reset_in: Span::from_seconds(60),
    }
}

/// One status of each limit. Of these `few` and `hidden` refuse.
fn statuses(policy: &Policy) -> [LimitStatus; 4] {
    let deny = Decision::Deny {
        retry_after: Span::from_seconds(10),
        balance: balance(0, 0),
    };
    [
        status(policy, 0, Decision::Admit(balance(8, 0))),
        status(policy, 1, deny),
        status(policy, 2, deny),
        status(policy, 3, Decision::Admit(balance(0, 7))),
    ]
}

fn fields(policy: &Policy, limits: &[LimitStatus], responder: Responder) -> Vec<String> {
    let fields = all(
        policy,
        Applied {
            limits,
            pools: &[POOL],
        },
        responder,
        ReplyTo::anyone(NOW),
    );
    fields
        .into_iter()
        .map(|(name, value)| format!("{name}: {value}"))
        .collect()
}

#[test]
fn an_admitted_request_sees_the_visible_limit_with_the_fewest_requests_left() {
    let policy = policy("{ fields: { family: both, with: [period, name] } }");
    let [many, _, hidden, counted] = statuses(&policy);
    let few = status(&policy, 1, Decision::Admit(balance(2, 0)));
    assert_eq!(
        fields(&policy, &[many, few, hidden], Responder::Upstream),
        [
            "x-ratelimit-limit: 3",
            "x-ratelimit-remaining: 2",
            "x-ratelimit-reset: 60",
            "x-ratelimit-period: 180",
            "x-ratelimit-name: few",
            concat!(
                r#"ratelimit-policy: "many";q=9;w=540, "few";q=3;w=180, "#,
                r#""pool";q=4;qu="concurrent-requests""#,
            ),
            r#"ratelimit: "many";r=8;t=10, "few";r=2;t=10"#,
        ]
    );
    let overage = "x-ratelimit-overage: 7".to_owned();
    assert_eq!(
        fields(&policy, &[many, counted], Responder::Upstream).last(),
        Some(&overage)
    );
}

#[test]
fn a_refusal_states_all_limits_that_apply() {
    let policy = policy("{ fields: { family: both, with: [name] } }");
    let limits = statuses(&policy);
    let refuses = |limit| Responder::Limit {
        limit: LimitId::new(limit),
        retry_after: Some(Span::from_seconds(10)),
    };
    assert_eq!(
        fields(&policy, &limits, refuses(2)),
        [
            "x-ratelimit-limit: 1",
            "x-ratelimit-remaining: 0",
            "x-ratelimit-reset: 60",
            "x-ratelimit-name: hidden",
            // All that apply are listed, and those that do not refuse have the counters of before.
            concat!(
                r#"ratelimit-policy: "many";q=9;w=540, "few";q=3;w=180, "#,
                r#""hidden";q=1;w=60, "counted";q=5;w=86400, "#,
                r#""pool";q=4;qu="concurrent-requests""#,
            ),
            r#"ratelimit: "many";r=8;t=10, "few";r=0;t=10, "hidden";r=0;t=10, "counted";r=0;t=10"#,
            "x-ratelimit-overage: 7",
        ]
    );
}

#[test]
fn something_without_numbers_lets_the_fields_state_the_limits_without_a_name() {
    let policy = policy("{ fields: { family: x-ratelimit, reset: retry-after, with: [name] } }");
    let limits = statuses(&policy);
    let wait = Span::from_seconds(3);
    for (retry_after, reset) in [(Some(wait), Some("x-ratelimit-reset: 3")), (None, None)] {
        let mut expected = vec!["x-ratelimit-limit: 3", "x-ratelimit-remaining: 0"];
        expected.extend(reset);
        expected.push("x-ratelimit-overage: 7");
        assert_eq!(
            fields(&policy, &limits, Responder::Other { retry_after }),
            expected
        );
    }
}

#[test]
fn fields_come_in_the_order_of_their_names() {
    for form in [
        "{ family: x-ratelimit }",
        "{ family: x-ratelimit, reset: retry-after, with: [name] }",
        "{ family: both, with: [period, name] }",
        "{ family: both, reset: unix-seconds, with: [period] }",
        "{ family: ietf }",
        "{ family: none }",
    ] {
        let policy = policy(&format!("{{ fields: {form} }}"));
        let limits = statuses(&policy);
        for responder in [
            Responder::Upstream,
            Responder::Limit {
                limit: LimitId::new(1),
                retry_after: None,
            },
            Responder::Limit {
                limit: LimitId::new(2),
                retry_after: Some(Span::from_seconds(10)),
            },
            Responder::Other {
                retry_after: Some(Span::from_seconds(1)),
            },
        ] {
            let mut names = names(&policy).into_iter();
            for (field, _) in all(
                &policy,
                Applied {
                    limits: &limits,
                    pools: &[POOL],
                },
                responder,
                ReplyTo::anyone(NOW),
            ) {
                assert!(
                    names.any(|name| *name == *field),
                    "{form}: {field} is not in order"
                );
            }
        }
    }
}

#[test]
fn a_later_time_shortens_the_waits_and_a_clock_that_stepped_back_changes_none() {
    let policy = policy("{ fields: { family: both } }");
    let status = status(&policy, 0, Decision::Admit(balance(8, 0)));
    for (now, next_unit_in, reset_in) in [
        (NOW, 10, 60),
        (NOW.after(Span::from_seconds(4)), 6, 56),
        (NOW.after(Span::from_seconds(30)), 0, 30),
        (NOW.after(Span::from_seconds(3_600)), 0, 0),
        (NOW.before(Span::from_seconds(5)), 10, 60),
    ] {
        let later = status.at(now);
        let Some(Reading { balance, at }) = later.reading else {
            panic!("{later:?}")
        };
        assert_eq!(
            (balance.next_unit_in, balance.reset_in),
            (
                Span::from_seconds(next_unit_in),
                Span::from_seconds(reset_in)
            )
        );
        assert_eq!(
            (balance.remaining, at),
            (8, now),
            "units that came back are not added"
        );
    }
    let unread = LimitStatus {
        reading: None,
        ..status
    };
    assert_eq!(unread.at(NOW), unread);
}

#[test]
fn a_limit_that_is_hidden_or_was_not_read_is_never_the_most_constrained() {
    let policy = policy("{ fields: { family: both } }");
    let [many, few, hidden, counted] = statuses(&policy);
    let unread = LimitStatus {
        reading: None,
        ..few
    };
    let find = |limits: &[LimitStatus]| most_constrained(limits).map(|status| status.limit.index());
    assert_eq!(
        find(&[many, few, hidden, counted]),
        Some(1),
        "the first of two that have nothing left"
    );
    assert_eq!(find(&[many, counted, few]), Some(3));
    assert_eq!(find(&[hidden, many, unread]), Some(0));
    assert_eq!(find(&[hidden, unread]), None);
    // The field counts requests of the same cost.
    let dear = LimitStatus {
        cost: NonZeroU64::new(9).unwrap(),
        ..many
    };
    let cheap = status(&policy, 1, Decision::Admit(balance(2, 0)));
    assert_eq!(find(&[cheap, dear]), Some(0));
}

#[test]
fn no_field_is_an_invalid_header() {
    let policy = policy("{ fields: { family: both, with: [period, name] } }");
    let limits = statuses(&policy);
    for (name, value) in all(
        &policy,
        Applied {
            limits: &limits,
            pools: &[POOL],
        },
        Responder::Upstream,
        ReplyTo::anyone(NOW),
    ) {
        assert_eq!(name, name.to_ascii_lowercase());
        assert!(
            value.bytes().all(|byte| (b' '..=b'~').contains(&byte)),
            "{name}: {value}"
        );
        let block = Headers::new(Headers::encode(&[(&name, value.as_bytes())]));
        assert_eq!(block.first(&name), Some(value.as_bytes()));
    }
}
