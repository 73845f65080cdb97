//! The events that the decisions on one request cause.

use super::*;

/// A check of the limit with this number.
fn check(policy: &Policy, number: u16, answer: Result<Decision, Fault>) -> LimitCheck {
    let key = KeyMaker::new(&[0; 16], 9).partition(b"a").finish();
    let owner = limit(number);
    let rule = policy.limit(owner).unwrap().rule.rule;
    let mut check = LimitCheck::new(owner, key, rule, Cost::Now(4), FailureMode::Allow);
    (check.answer, check.at) = (answer, Timestamp::from_nanos(0));
    check
}

const ADMIT: Decision = Decision::Admit(BALANCE);

const BALANCE: Balance = Balance {
    remaining: 0,
    overage: 3,
    next_unit_in: Span::ZERO,
    reset_in: Span::ZERO,
};

const DENY: Decision = Decision::Deny {
    retry_after: Span::ZERO,
    balance: BALANCE,
};

const REFUSE: Verdict = Verdict::Refuse(engine::Refusal {
    check: 0,
    retry_after: None,
});

#[test]
fn a_decision_is_labelled_by_its_check_and_the_verdict() {
    let policy = policy(POLICY);
    let label = |answer, enforcement, verdict| {
        let mut check = check(&policy, 0, answer);
        check.enforcement = enforcement;
        DecisionLabel::of(&check, verdict)
    };
    for (answer, enforcement, in_admitted, in_refused) in [
        (
            Ok(ADMIT),
            Enforcement::Enforce,
            Some(DecisionLabel::Admitted),
            None,
        ),
        (
            Ok(ADMIT),
            Enforcement::Shadow,
            Some(DecisionLabel::Admitted),
            None,
        ),
        (
            Ok(DENY),
            Enforcement::Shadow,
            Some(DecisionLabel::WouldRefuse),
            Some(DecisionLabel::WouldRefuse),
        ),
        (
            Ok(DENY),
            Enforcement::Enforce,
            Some(DecisionLabel::Refused),
            Some(DecisionLabel::Refused),
        ),
        // With `failure: allow`.
        (
            Err(Fault::Full),
            Enforcement::Enforce,
            Some(DecisionLabel::Admitted),
            None,
        ),
    ] {
        assert_eq!(
            label(answer, enforcement, Verdict::Admit),
            in_admitted,
            "{answer:?} {enforcement:?}"
        );
        assert_eq!(
            label(answer, enforcement, REFUSE),
            in_refused,
            "{answer:?} {enforcement:?}"
        );
    }
}

#[test]
fn an_admission_counts_each_limit_its_charge_and_its_overage() {
    let policy = policy(POLICY);
    let mut charged = check(&policy, 1, Ok(ADMIT));
    let mut shadow = check(&policy, 0, Ok(DENY));
    shadow.enforcement = Enforcement::Shadow;
    let unread = check(&policy, 0, Err(Fault::Contended));
    let rule = policy.limits[1].rule.rule;
    let evaluation = rule.evaluate(None, Timestamp::from_nanos(0), Cost::Now(4));
    charged.charge = evaluation
        .after_charge
        .map(|state| state.charge(4, Timestamp::from_nanos(0)));
    assert!(charged.charge.is_some());
    let mut events = Vec::new();
    admission(&[charged, shadow, unread], Verdict::Admit, |event| {
        events.push(event)
    });
    let admitted = |number| Event::Decision {
        owner: limit(number),
        decided: DecisionLabel::Admitted,
    };
    assert_eq!(
        events,
        [
            admitted(1),
            Event::Charged {
                owner: limit(1),
                units: 4
            },
            Event::Overage {
                owner: limit(1),
                units: 3
            },
            // The shadow was counted with the decision, and a counter that was not read was not
            // charged.
            admitted(0),
        ]
    );
    let mut events = Vec::new();
    admission(&[], Verdict::Unlimited, |event| events.push(event));
    assert_eq!(events, [Event::Unlimited]);
}

#[test]
fn overage_is_never_more_than_the_charge() {
    for (over, units, expected) in [(0, 4, None), (3, 4, Some(3)), (9, 4, Some(4)), (9, 0, None)] {
        let found = overage(
            limit(1),
            Balance {
                overage: over,
                ..BALANCE
            },
            units,
        );
        assert_eq!(
            found,
            expected.map(|units| Event::Overage {
                owner: limit(1),
                units
            })
        );
    }
}
