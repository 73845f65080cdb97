//! The limits that apply to a request, and those that do not.

use std::fmt::Write as _;

use serde_json::Value;

use super::super::explanation::{Explanation, Limit, Missing, Part};
use super::super::missing::given_by;
use super::super::time;
use super::{line, plain, shadow};
use crate::base::number::counted;
use crate::base::time::Span;

/// A longer list of limits that do not apply is not helpful.
const NOT_APPLIED_SHOWN: usize = 20;

pub(super) fn limits(text: &mut String, explanation: &Explanation, all: bool) {
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
    let shadow = shadow(limit.enforcement);
    let _ = writeln!(text, "  {}{shadow}: {decided}", limit.name);
    let mut row = |label: &str, value: &str| _ = writeln!(text, "    {label:<8} {value}");
    if limit.label != limit.name {
        row("label", &plain(&limit.label));
    }
    row("counts", &key(&limit.key, not_given));
    let by = limit
        .r#override
        .as_ref()
        .map(|at| format!(", by {at}"))
        .unwrap_or_default();
    let own = limit.quota_from.as_ref();
    let own = own.map(|from| format!(", number by {}", plain(from)));
    let own = own.unwrap_or_default();
    let scope = match limit.scope {
        "global" => ", over all proxies",
        _ => "",
    };
    row("rule", &format!("{}{by}{own}{scope}", in_flow(&limit.rule)));
    row("cost", &cost(limit));
    row("left", &left(limit));
    match (limit.decision, limit.retry_after) {
        (_, Some(seconds)) => row("wait", &time::spoken(Span::from_seconds(seconds))),
        (Some("refused" | "would_refuse"), None) => {
            row("wait", "does not help: it costs more than the limit holds")
        }
        (Some(_) | None, None) => {}
    }
    if let Some(lock) = &limit.lock {
        let state = if limit.locked {
            "locked for"
        } else {
            "a refusal locks for"
        };
        row("lock", &format!("{state} {lock}"));
    }
    if !limit.shown {
        row("fields", "hidden from callers");
    }
}

pub(super) fn key(parts: &[Part], not_given: &[Missing]) -> String {
    if parts.is_empty() {
        "all together".to_owned()
    } else {
        parts
            .iter()
            .map(|part| match &part.value {
                Some(value) => format!("{}={}", part.name, plain(value)),
                None => format!(
                    "{} absent{}, shared by all callers without one",
                    part.name,
                    given_by(&part.name, not_given)
                ),
            })
            .collect::<Vec<_>>()
            .join(", ")
    }
}

fn cost(limit: &Limit) -> String {
    let from = limit.cost_from.as_deref().unwrap_or_default();
    let cost = match limit.cost {
        Some(units) if from.is_empty() => units.to_string(),
        Some(units) => format!("{units}, by {from}"),
        None => {
            let reserved = limit.reserved.unwrap_or_default();
            if from.starts_with("response header") {
                format!("known only with the response ({from}); {reserved} until then")
            } else {
                let body = format!("known only with the body ({from}), which is not explained");
                format!("{body}; {reserved} until then")
            }
        }
    };
    let when = match &*limit.charge {
        _ if limit.refunded => "; refunded: such a response is not charged",
        "success" => "; refunded if the response is 400 or above",
        "failure" => "; refunded unless the response is 400 or above",
        list if list.starts_with('[') => {
            return format!("{cost}; refunded unless the response is one of {list}");
        }
        _ => "",
    };
    cost + when
}

fn left(limit: &Limit) -> String {
    let mut left = format!("{} of {}", limit.remaining, limit.quota);
    if limit.overage > 0 {
        let _ = write!(left, ", {} over", limit.overage);
    }
    left.push_str(&regained(limit.next_unit_in, limit.reset_in));
    left
}

/// The seconds until more units are regained, and until all are: `; more in 1 s, all in 5 s`.
pub(in crate::cli) fn regained(more: u64, all: u64) -> String {
    let spoken = |seconds: u64| time::spoken(Span::from_seconds(seconds));
    match (more, all) {
        (_, 0) => String::new(),
        (more, all) if more == all || more == 0 => format!("; all in {}", spoken(all)),
        (more, all) => format!("; more in {}, all in {}", spoken(more), spoken(all)),
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
    entries(rule, ", ", &|value: &Value| match value {
        Value::Object(_) => format!("{{ {} }}", entries(value, ", ", &scalar)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
            scalar(value)
        }
    })
}
