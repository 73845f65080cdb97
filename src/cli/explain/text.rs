//! An explanation for people: short lines under headings.

mod callers;
mod limits;

use std::fmt::Write as _;

use super::explanation::{Explanation, Missing, Payload, Pool, Response, Seats};
use callers::callers;
pub(in crate::cli) use limits::regained;
use limits::{key, limits};

/// The explanation; with `all`, all limits that do not apply are listed.
pub(super) fn write(explanation: &Explanation, all: bool) -> String {
    let mut text = String::new();
    line(&mut text, "request", &request(explanation));
    let policy = format!("{}, revision {}", explanation.policy, explanation.revision);
    line(&mut text, "policy", &policy);
    callers(&mut text, &explanation.callers);
    not_given(&mut text, &explanation.not_given);
    let routes = match explanation.routes.as_slice() {
        [] => "none matches".to_owned(),
        routes => routes.join(&format!("\n{:<12} ", "")),
    };
    line(&mut text, "routes", &routes);
    let tier = match &explanation.tier {
        Some(tier) => format!(
            "{}, by {}",
            tier.name,
            tier.route.as_deref().unwrap_or_default()
        ),
        None => "none".to_owned(),
    };
    line(&mut text, "tier", &tier);
    if let Some(at) = &explanation.denied {
        line(&mut text, "denied", &format!("by {at}"));
    } else if let Some(at) = &explanation.endpoint {
        let endpoint = format!("by {at}: it answers, and no limit counts the request");
        line(&mut text, "endpoint", &endpoint);
    } else if explanation.callers.refused.is_none() && explanation.request.refused.is_none() {
        match &explanation.exempt {
            Some(at) => {
                let exempt = format!("by {at}: no limit applies, and no field");
                line(&mut text, "exempt", &exempt);
            }
            None => {
                line(&mut text, "exempt", "no");
                applicable(&mut text, explanation, all);
            }
        }
    } else if !explanation.limits.is_empty() {
        limits(&mut text, explanation, all);
    }
    line(&mut text, "decision", &decision(explanation));
    response(&mut text, &explanation.response);
    text
}

fn request(explanation: &Explanation) -> String {
    let Explanation {
        request,
        at,
        repeat,
        ..
    } = explanation;
    let nth = if *repeat > 1 {
        format!(", the {} such request", ordinal(*repeat))
    } else {
        String::new()
    };
    format!("{} {} at {at}{nth}", request.method, request.path)
}

fn not_given(text: &mut String, not_given: &[Missing]) {
    if not_given.is_empty() {
        return;
    }
    line(
        text,
        "not given",
        "the policy reads it, and it may change this explanation",
    );
    let rows = not_given.iter().map(|missing| {
        [
            plain(&missing.option),
            format!("for {}", missing.names.join(", ")),
            String::new(),
        ]
    });
    table(text, rows.collect());
}

/// Everything that applies to a request without an exemption.
fn applicable(text: &mut String, explanation: &Explanation, all: bool) {
    if let Some(payload) = &explanation.payload {
        line(text, "payload", &bounds(payload));
    }
    for pool in &explanation.pools {
        line(text, "slots", &slots(pool, &explanation.not_given));
    }
    for seats in &explanation.seats {
        line(text, "seats", &held(seats, &explanation.not_given));
    }
    limits(text, explanation, all);
}

fn line(text: &mut String, label: &str, value: &str) {
    // Writing to a string cannot fail.
    let _ = writeln!(text, "{}", format!("{label:<12} {value}").trim_end());
}

/// Rows of three columns, each as wide as it needs to be.
fn table(text: &mut String, rows: Vec<[String; 3]>) {
    let width = |column: fn(&[String; 3]) -> &String| {
        rows.iter()
            .map(|row| column(row).chars().count())
            .max()
            .unwrap_or_default()
    };
    let (first, second) = (width(|[first, ..]| first), width(|[_, second, _]| second));
    for [one, two, three] in &rows {
        let _ = writeln!(
            text,
            "{}",
            format!("  {one:<first$}  {two:<second$}  {three}").trim_end()
        );
    }
}

fn shadow(enforcement: &str) -> &'static str {
    if enforcement == "shadow" {
        " (shadow)"
    } else {
        ""
    }
}

fn slots(pool: &Pool, not_given: &[Missing]) -> String {
    let queue = match pool.queue_length {
        0 => "no request waits".to_owned(),
        length => format!("{length} wait for up to {}", pool.queue_timeout),
    };
    format!(
        "{}{}: {} at a time, {queue}; counts {}",
        plain(&pool.name),
        shadow(pool.enforcement),
        pool.slots,
        key(&pool.key, not_given)
    )
}

fn held(seats: &Seats, not_given: &[Missing]) -> String {
    let Seats {
        name,
        seats: count,
        idle,
        status,
        ..
    } = seats;
    let holder = key(std::slice::from_ref(&seats.holder), not_given);
    format!(
        "{}{}: {holder} holds one of {count} for {idle}, others get {status}; counts {}",
        plain(name),
        shadow(seats.enforcement),
        key(&seats.key, not_given)
    )
}

fn bounds(payload: &Payload) -> String {
    let mut said: Vec<String> = Vec::new();
    said.extend(
        payload
            .bytes
            .map(|max| format!("at most {max} bytes as sent")),
    );
    said.extend(
        payload
            .decoded_bytes
            .map(|max| format!("at most {max} bytes decoded")),
    );
    said.extend(payload.json.then(|| "measured as JSON".to_owned()));
    said.extend(payload.hold.then(|| "held until it has passed".to_owned()));
    let by = payload.r#override.as_ref().unwrap_or(&payload.at);
    let refused = payload
        .refused
        .map(|why| format!("; refused by its head: {why}"))
        .unwrap_or_default();
    format!(
        "{}{}: {}, by {by}{refused}",
        plain(&payload.name),
        shadow(payload.enforcement),
        said.join(", ")
    )
}

fn decision(explanation: &Explanation) -> String {
    if let Some(refused) = &explanation.request.refused {
        return format!(
            "{}: {}: {}",
            explanation.decision, refused.reason, refused.message
        );
    }
    if let Some(at) = explanation
        .denied
        .as_ref()
        .or(explanation.endpoint.as_ref())
    {
        return format!("{} by {at}", explanation.decision);
    }
    match (
        &explanation.callers.refused,
        &explanation.limit,
        explanation.limits.is_empty(),
    ) {
        (Some(_), Some(limit), _) => format!("{} by {limit}", explanation.decision),
        (Some(refused), ..) => format!("{}: {}", explanation.decision, refused.reason),
        (None, Some(limit), _) => format!("{} by {limit}", explanation.decision),
        (None, None, true) if !explanation.not_given.is_empty() => {
            format!(
                "{}: no limit applies to the given input",
                explanation.decision
            )
        }
        (None, None, true) => format!("{}: no limit applies", explanation.decision),
        (None, None, false) => explanation.decision.to_owned(),
    }
}

fn response(text: &mut String, response: &Response) {
    let head = match (response.status, response.fields.is_empty()) {
        (Some(status), fields) if response.of_the_upstream => {
            format!(
                "{status}, the upstream's, {}",
                if fields {
                    "without a field of ours"
                } else {
                    "with"
                }
            )
        }
        (Some(status), _) => status.to_string(),
        (None, true) => "the upstream's, without a field of ours".to_owned(),
        (None, false) => "the upstream's, with".to_owned(),
    };
    line(text, "response", &head);
    for field in &response.fields {
        let _ = writeln!(text, "  {}: {}", field.name, plain(&field.value));
    }
    if let Some(body) = &response.body {
        let _ = write!(
            text,
            "\n{body}{}",
            if body.ends_with('\n') { "" } else { "\n" }
        );
    }
}

/// A text that stays on its line, with any content of a request.
pub(in crate::cli) fn plain(text: &str) -> String {
    let mut plain = String::new();
    for letter in text.chars() {
        if letter.is_control() {
            plain.extend(letter.escape_default())
        } else {
            plain.push(letter)
        }
    }
    plain
}

fn ordinal(number: u64) -> String {
    let ending = match (number % 100, number % 10) {
        (11..=13, _) => "th",
        (_, 1) => "st",
        (_, 2) => "nd",
        (_, 3) => "rd",
        _ => "th",
    };
    format!("{number}{ending}")
}
