//! The line of the access log.

use super::*;

/// The part of every line about its policy.
fn identity(policy: &Policy) -> String {
    format!(" policy=demo revision={}", policy.revision)
}

#[test]
fn a_line_says_what_the_policy_asks_for_in_one_word_each() {
    let policy = policy(POLICY);
    let (long, identity) = ("x".repeat(300), identity(&policy));
    for (user, written) in [
        (None, "-".to_owned()),
        (Some("alice"), "alice".to_owned()),
        (Some("a b=c\"d\\e%f"), "a%20b%3Dc%22d%5Ce%25f".to_owned()),
        (Some("\u{e9}\u{1}"), "%C3%A9%01".to_owned()),
        (Some(&long), "x".repeat(256)),
    ] {
        let pairs: Vec<(&str, &[u8])> = user
            .iter()
            .map(|user| ("x-user", user.as_bytes()))
            .collect();
        let request = Request {
            headers: Headers::new(Headers::encode(&pairs)),
            ..Request::default()
        };
        let caller = identify(&request, &policy).unwrap();
        let line = |decision, limit, tier| {
            Line {
                decision,
                limit,
                tier,
                engine: None,
                caller: &caller,
            }
            .to_text(&policy)
            .unwrap()
        };
        assert_eq!(
            line(DecisionLabel::Admitted, Some("bytes"), Some(TierId::FIRST)),
            format!("decision=admitted limit=bytes tier=write user={written} key=-{identity}")
        );
        assert_eq!(
            line(DecisionLabel::WouldRefuse, None, None),
            format!("decision=would_refuse limit=- tier=- user={written} key=-{identity}")
        );
    }
}

#[test]
fn a_line_is_written_only_if_the_policy_wants_one_and_replaces_the_last() {
    let silent = policy(&POLICY.replace("access_log: { attributes: [user, key] }", ""));
    let request = Request::default();
    let caller = identify(&request, &silent).unwrap();
    let line = Line {
        decision: DecisionLabel::Refused,
        limit: None,
        tier: None,
        engine: None,
        caller: &caller,
    };
    assert_eq!(line.to_text(&silent), None);
    let mut text = "the line before".to_owned();
    line.write(&mut text, &silent, &[]);
    assert_eq!(
        text,
        format!("decision=refused limit=- tier=-{}", identity(&silent))
    );
}

#[test]
fn a_401_names_the_credential_that_occurs_more_than_once() {
    let policy = policy(POLICY);
    let pairs: [(&str, &[u8]); 2] = [("x-key", b"a"), ("x-key", b"b")];
    let request = Request {
        headers: Headers::new(Headers::encode(&pairs)),
        ..Request::default()
    };
    let identity = identity(&policy);
    let attributes = policy.access_log.as_ref().unwrap();
    let mut text = String::new();
    for (why, end) in [
        (AuthFailure::Ambiguous, " ambiguous=key"),
        (AuthFailure::Unknown, ""),
    ] {
        let refused = suspect(&request, &policy);
        crate::observe::access_log::unauthorized(
            &mut text, &policy, attributes, None, why, &refused,
        );
        assert_eq!(
            text,
            format!("decision=refused limit=- tier=- user=- key=-{identity}{end}")
        );
    }
}
