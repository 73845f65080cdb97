//! An explanation for people: short lines under headings.

use std::fmt::Write as _;

use serde_json::Value;

use super::explanation::{
    Callers, Explanation, Found, Limit, Missing, Part, Payload, Pool, Response, Seats,
};
use super::missing::given_by;
use super::time;
use crate::base::number::counted;
use crate::base::time::Span;

/// More limits than these that do not apply are no help to anybody.
const NOT_APPLIED_SHOWN: usize = 20;

/// The explanation; with `all`, all limits that do not apply are listed.
pub(super) fn write(explanation: &Explanation, all: bool) -> String {
    let mut text = String::new();
    let nth = if explanation.repeat > 1 {
        format!(", the {} such request", ordinal(explanation.repeat))
    } else {
        String::new()
    };
    line(
        &mut text,
        "request",
        &format!(
            "{} {} at {}{nth}",
            explanation.request.method, explanation.request.path, explanation.at
        ),
    );
    line(&mut text, "policy", &explanation.policy);
    callers(&mut text, &explanation.callers);
    if !explanation.not_given.is_empty() {
        line(
            &mut text,
            "not given",
            "the policy reads it, and it may change this explanation",
        );
        let rows = explanation.not_given.iter().map(|missing| {
            [
                plain(&missing.option),
                format!("for {}", missing.names.join(", ")),
                String::new(),
            ]
        });
        table(&mut text, rows.collect());
    }
    let routes = explanation.routes.join(&format!("\n{:<12} ", ""));
    line(
        &mut text,
        "routes",
        if routes.is_empty() {
            "none matches"
        } else {
            &routes
        },
    );
    let tier = match &explanation.tier {
        Some(tier) => format!(
            "{}, by {}",
            tier.name,
            tier.route.as_deref().unwrap_or_default()
        ),
        None => "none".to_owned(),
    };
    line(&mut text, "tier", &tier);
    match (
        explanation
            .callers
            .refused
            .as_ref()
            .or(explanation.request.refused.as_ref()),
        &explanation.exempt,
    ) {
        (Some(_), _) => {}
        (None, Some(at)) => line(
            &mut text,
            "exempt",
            &format!("by {at}: no limit applies, and no field"),
        ),
        (None, None) => {
            line(&mut text, "exempt", "no");
            if let Some(payload) = &explanation.payload {
                line(&mut text, "payload", &bounds(payload));
            }
            explanation
                .pools
                .iter()
                .for_each(|pool| line(&mut text, "slots", &slots(pool, &explanation.not_given)));
            explanation
                .seats
                .iter()
                .for_each(|seats| line(&mut text, "seats", &held(seats, &explanation.not_given)));
            limits(&mut text, explanation, all);
        }
    }
    line(&mut text, "decision", &decision(explanation));
    response(&mut text, &explanation.response);
    text
}

fn line(text: &mut String, label: &str, value: &str) {
    // Writing to a string cannot fail.
    let _ = writeln!(text, "{}", format!("{label:<12} {value}").trim_end());
}

fn callers(text: &mut String, callers: &Callers) {
    let asked = match (callers.asked, &callers.route) {
        (true, Some(route)) => format!("asked who they are, by {route}"),
        (true, None) => "asked who they are".to_owned(),
        (false, _) if callers.defined => {
            "nobody is asked here: no route of callers.for matches".to_owned()
        }
        (false, _) => "nobody is asked: the policy has no callers".to_owned(),
    };
    line(text, "callers", &asked);
    let rows = callers.credentials.iter().map(|credential| {
        let found = match credential.found {
            Found::NotPresented => "not presented",
            Found::Known => "known to the directory",
            Found::Unknown => "unknown to the directory",
            Found::Verified => "verified by an earlier filter",
            Found::PassedOver => "unknown, and passed over: another one says who calls",
            Found::Ambiguous => "stands twice",
            Found::NotLookedAt => "not looked at",
        };
        let who = credential
            .identifier
            .as_ref()
            .map(|identifier| format!(": {identifier}"))
            .unwrap_or_default();
        [
            plain(&credential.name),
            plain(&credential.place),
            format!("{found}{who}"),
        ]
    });
    table(text, rows.collect());
    if let Some(refused) = &callers.refused {
        line(
            text,
            "caller",
            &format!(
                "not let in ({}): {}",
                refused.reason,
                plain(&refused.message)
            ),
        );
        let rows = callers
            .attributes
            .iter()
            .map(|it| [plain(&it.name), plain(&it.value), plain(&it.from)]);
        table(text, rows.collect());
        return;
    }
    line(
        text,
        "caller",
        if callers.attributes.is_empty() {
            "nothing is known"
        } else {
            ""
        },
    );
    let rows = callers
        .attributes
        .iter()
        .map(|it| [plain(&it.name), plain(&it.value), plain(&it.from)]);
    table(text, rows.collect());
    if !callers.missing.is_empty() {
        let _ = writeln!(text, "  without {}", callers.missing.join(", "));
    }
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

fn slots(pool: &Pool, not_given: &[Missing]) -> String {
    let queue = match pool.queue_length {
        0 => "nobody waits".to_owned(),
        length => format!("{length} wait for up to {}", pool.queue_timeout),
    };
    format!(
        "{}: {} at a time, {queue}; counts {}",
        plain(&pool.name),
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
        "{}: {holder} holds one of {count} for {idle}, others get {status}; counts {}",
        plain(name),
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
        "{}: {}, by {by}{refused}",
        plain(&payload.name),
        said.join(", ")
    )
}

fn limits(text: &mut String, explanation: &Explanation, all: bool) {
    line(
        text,
        "limits",
        if explanation.limits.is_empty() {
            "none applies"
        } else {
            ""
        },
    );
    for limit in &explanation.limits {
        applied(text, limit, &explanation.not_given);
    }
    let most = if all {
        explanation.not_applied.len()
    } else {
        NOT_APPLIED_SHOWN
    };
    for other in explanation.not_applied.iter().take(most) {
        let _ = writeln!(
            text,
            "  {}: does not apply: {}",
            other.name,
            plain(&other.message)
        );
    }
    let more = explanation.not_applied.len().saturating_sub(most);
    if more > 0 {
        let _ = writeln!(
            text,
            "  and {} that {} not apply: --all lists them",
            counted(more, "other"),
            if more == 1 { "does" } else { "do" }
        );
    }
}

fn applied(text: &mut String, limit: &Limit, not_given: &[Missing]) {
    let decided = limit
        .decision
        .unwrap_or("admits, and takes nothing: another limit refuses");
    let shadow = if limit.enforcement == "shadow" {
        " (shadow)"
    } else {
        ""
    };
    let _ = writeln!(text, "  {}{shadow}: {decided}", limit.name);
    let mut row = |label: &str, value: &str| _ = writeln!(text, "    {label:<8} {value}");
    row("counts", &key(&limit.key, not_given));
    let by = limit
        .r#override
        .as_ref()
        .map(|at| format!(", by {at}"))
        .unwrap_or_default();
    row("rule", &format!("{}{by}", in_flow(&limit.rule)));
    row("cost", &cost(limit));
    row("left", &left(limit));
    match (limit.decision, limit.retry_after) {
        (_, Some(seconds)) => row("wait", &time::spoken(Span::from_seconds(seconds))),
        (Some("refused" | "would_refuse"), None) => {
            row("wait", "none helps: it costs more than the limit holds")
        }
        (Some(_) | None, None) => {}
    }
    if !limit.shown {
        row("fields", "hidden from callers");
    }
}

fn key(parts: &[Part], not_given: &[Missing]) -> String {
    let part = |part: &Part| match &part.value {
        Some(value) => format!("{}={}", part.name, plain(value)),
        None => format!(
            "{} absent{}, with all who have none",
            part.name,
            given_by(&part.name, not_given)
        ),
    };
    if parts.is_empty() {
        "all together".to_owned()
    } else {
        parts.iter().map(part).collect::<Vec<_>>().join(", ")
    }
}

fn cost(limit: &Limit) -> String {
    let from = limit.cost_from.as_deref().unwrap_or_default();
    let cost = match limit.cost {
        Some(units) if from.is_empty() => units.to_string(),
        Some(units) => format!("{units}, by {from}"),
        None if from.starts_with("response header") => {
            format!("known only with the response ({from}); taken as 1 here")
        }
        None => {
            format!("known only with the body ({from}), which is not explained; taken as 1 here")
        }
    };
    match (limit.charge, limit.refunded) {
        (_, true) => cost + "; refunded: the response is a failure",
        ("success", false) => cost + "; refunded where the response is 400 or above",
        (_, false) => cost,
    }
}

fn left(limit: &Limit) -> String {
    let mut left = format!("{} of {}", limit.remaining, limit.quota);
    if limit.overage > 0 {
        let _ = write!(left, ", {} over", limit.overage);
    }
    let spoken = |seconds: u64| time::spoken(Span::from_seconds(seconds));
    match (limit.next_unit_in, limit.reset_in) {
        (_, 0) => {}
        (more, full) if more == full || more == 0 => _ = write!(left, "; all in {}", spoken(full)),
        (more, full) => _ = write!(left, "; more in {}, all in {}", spoken(more), spoken(full)),
    }
    left
}

fn decision(explanation: &Explanation) -> String {
    if let Some(refused) = &explanation.request.refused {
        return format!(
            "{}: {}: {}",
            explanation.decision, refused.reason, refused.message
        );
    }
    match (
        &explanation.callers.refused,
        &explanation.limit,
        explanation.limits.is_empty(),
    ) {
        (Some(refused), ..) => format!("{}: {}", explanation.decision, refused.reason),
        (None, Some(limit), _) => format!("{} by {limit}", explanation.decision),
        (None, None, true) if !explanation.not_given.is_empty() => {
            format!(
                "{}: no limit applies to what was given",
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

/// A rule as a policy has it, on one line: `bucket: { burst: 100, refill: 60/min }`.
fn in_flow(rule: &Value) -> String {
    let scalar = |value: &Value| {
        value
            .as_str()
            .map_or_else(|| value.to_string(), str::to_owned)
    };
    let entries = |map: &Value, separator: &str, write: &dyn Fn(&Value) -> String| {
        let entries = map
            .as_object()
            .into_iter()
            .flatten()
            .map(|(key, value)| format!("{key}: {}", write(value)));
        entries.collect::<Vec<_>>().join(separator)
    };
    let inner = |value: &Value| match value {
        Value::Object(_) => format!("{{ {} }}", entries(value, ", ", &scalar)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
            scalar(value)
        }
    };
    entries(rule, ", ", &inner)
}

/// A text that stays on its line, whatever a request has in it.
fn plain(text: &str) -> String {
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
