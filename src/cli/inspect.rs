//! `sluicegate inspect`: asks a gateway what it has counted for one caller, or resets one limit.

use std::fmt::Write as _;

use clap::Args;
use minreq::Method;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::Failure;
use super::envoy::{Address, parse_pair};
use super::explain::time::spoken;
use super::explain::{plain, regained};

use crate::base::time::Span;
use crate::request::operator::PATH;

#[derive(Debug, Args)]
pub(super) struct InspectArgs {
    /// The address of the gateway's listener for operators, which `render --inspect` adds: IP:PORT.
    #[arg(long, value_name = "IP:PORT", default_value = "127.0.0.1:9903")]
    #[arg(value_parser = Address::parse)]
    at: Address,
    /// Show this limit, seat limit or pool alone.
    #[arg(long, value_name = "NAME", conflicts_with = "reset")]
    limit: Option<String>,
    /// Begin the counter of this limit or seat limit anew for the caller, and its lock with it.
    #[arg(long, value_name = "LIMIT")]
    reset: Option<String>,
    /// Print the answer as JSON.
    #[arg(long)]
    json: bool,
    /// The values of the caller: NAME=VALUE for each attribute, or part of a key, that its limits
    /// depend on. An empty value says that the caller has none.
    #[arg(value_name = "NAME=VALUE", value_parser = parse_pair)]
    values: Vec<(String, String)>,
}

/// Seconds until an answer is given up.
const TIMEOUT_SECONDS: u64 = 10;

/// All but the characters that RFC 3986 §2.3 reserves for nothing.
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

pub(super) fn run(args: &InspectArgs) -> Result<String, Failure> {
    let (method, name) = match (&args.reset, &args.limit) {
        (Some(name), _) => (Method::Delete, Some(name)),
        (None, name) => (Method::Get, name.as_ref()),
    };
    let url = url(&args.at, name, &args.values);
    let answer = minreq::Request::new(method, url)
        .with_timeout(TIMEOUT_SECONDS)
        .with_follow_redirects(false)
        .send()
        .map_err(|error| Failure::Usage(unreachable(&args.at, &error)))?;
    let text = answer.as_str().unwrap_or_default();
    if answer.status_code != 200 {
        return Err(Failure::Usage(refused(answer.status_code, text)));
    }
    if args.json {
        return Ok(text.to_owned());
    }
    let found: Found = serde_json::from_str(text).map_err(|error| {
        Failure::Usage(format!(
            "{} answered, but not as a gateway of this version does: {error}",
            args.at.authority()
        ))
    })?;
    Ok(found.to_text(args.reset.as_deref()))
}

fn url(at: &Address, name: Option<&String>, values: &[(String, String)]) -> String {
    let escaped = |text: &str| utf8_percent_encode(text, ESCAPED).to_string();
    let mut url = format!("http://{}{PATH}", at.authority());
    if let Some(name) = name {
        let _ = write!(url, "/{}", escaped(name));
    }
    for (place, (name, value)) in values.iter().enumerate() {
        let joint = if place == 0 { '?' } else { '&' };
        let _ = write!(url, "{joint}{}={}", escaped(name), escaped(value));
    }
    url
}

fn unreachable(at: &Address, error: &minreq::Error) -> String {
    format!(
        "{} does not answer: {error}; render the gateway's configuration with --inspect {0}, and \
         run this on its host",
        at.authority()
    )
}

/// The gateway's own advice.
fn refused(status: u16, text: &str) -> String {
    #[derive(Deserialize)]
    struct Problem {
        detail: String,
    }
    let problem = serde_json::from_str::<Problem>(text);
    let detail = problem.map_or_else(|_| text.trim().to_owned(), |problem| problem.detail);
    if detail.is_empty() {
        return format!("the gateway answered {status}");
    }
    plain(&detail)
}

/// The gateway's answer.
#[derive(Debug, Deserialize)]
struct Found {
    at: String,
    policy: String,
    revision: String,
    #[serde(default)]
    reset: Option<bool>,
    limits: Vec<Limit>,
    seats: Vec<Limit>,
    concurrency: Vec<Limit>,
    needs: Map<String, Value>,
}

/// The numbers of one limit, of any kind: those that it has.
#[derive(Debug, Deserialize)]
struct Limit {
    name: String,
    per: Map<String, Value>,
    enforcement: Option<String>,
    scope: Option<String>,
    #[serde(default)]
    locked: bool,
    quota: Option<u64>,
    window: Option<u64>,
    remaining: Option<u64>,
    more: Option<u64>,
    reset: Option<u64>,
    seats: Option<u64>,
    slots: Option<u64>,
    free: Option<u64>,
    waiting: Option<u64>,
}

impl Found {
    fn to_text(&self, reset: Option<&str>) -> String {
        let mut text = String::new();
        let mut line = |label: &str, value: &str| {
            let _ = writeln!(text, "{}", format!("{label:<12} {value}").trim_end());
        };
        line(
            "policy",
            &format!("{}, revision {}", self.policy, self.revision),
        );
        line("at", &self.at);
        match (reset, self.reset) {
            (Some(name), Some(true)) => line("reset", name),
            (Some(name), _) => line("reset", &format!("{name}, which had counted nothing")),
            (None, _) => {}
        }
        for (kind, limits) in [
            ("limits", &self.limits),
            ("seats", &self.seats),
            ("slots", &self.concurrency),
        ] {
            if limits.is_empty() {
                continue;
            }
            let _ = writeln!(text, "{kind}");
            for limit in limits {
                limit.write(&mut text);
            }
        }
        if self.limits.is_empty() && self.seats.is_empty() && self.concurrency.is_empty() {
            let _ = writeln!(text, "{:<12} none follows from these values", "limits");
        }
        if !self.needs.is_empty() {
            let _ = writeln!(
                text,
                "not known    add NAME=VALUE, or NAME= if the caller has none"
            );
        }
        for (name, values) in &self.needs {
            let values = values.as_array().into_iter().flatten();
            let values: Vec<&str> = values.filter_map(Value::as_str).collect();
            let _ = writeln!(text, "  {name}: depends on {}", values.join(", "));
        }
        text
    }
}

impl Limit {
    fn write(&self, text: &mut String) {
        let shadow = self.enforcement.as_ref().map_or("", |_| ", in shadow");
        let locked = if self.locked { ", locked" } else { "" };
        let _ = writeln!(text, "  {}{shadow}{locked}", self.name);
        let mut row = |label: &str, value: &str| {
            let _ = writeln!(text, "    {label:<8} {value}");
        };
        row("counts", &self.key());
        if let (Some(quota), Some(window)) = (self.quota, self.window) {
            let scope = self.scope.as_ref().map_or("", |_| ", over all proxies");
            let window = spoken(Span::from_seconds(window));
            row("quota", &format!("{quota} in {window}{scope}"));
        }
        let of = self.quota.or(self.seats).or(self.slots).unwrap_or_default();
        let Some(left) = self.remaining.or(self.free) else {
            row(
                "left",
                "not known: the counter cannot be read at the moment",
            );
            return;
        };
        let (more, all) = (
            self.more.unwrap_or_default(),
            self.reset.unwrap_or_default(),
        );
        row("left", &format!("{left} of {of}{}", regained(more, all)));
        if let Some(waiting) = self.waiting.filter(|waiting| *waiting > 0) {
            row("waiting", &waiting.to_string());
        }
    }

    fn key(&self) -> String {
        if self.per.is_empty() {
            return "all together".to_owned();
        }
        let parts = self.per.iter().map(|(name, value)| match value.as_str() {
            Some(value) => format!("{name}={}", plain(value)),
            None => format!("{name} absent, shared by all callers without one"),
        });
        parts.collect::<Vec<_>>().join(", ")
    }
}
