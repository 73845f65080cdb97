//! `sluicegate render prometheus-rules`: recording rules with the numbers of a policy's limits.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::Value;

use super::directory::DirectoryArgs;
use super::document::ReadPolicy;
use super::yaml::{quoted, single_quoted};
use super::{Failure, document};
use crate::base::time::Timestamp;
use crate::limit::Rule;
use crate::limit::period::Period;
use crate::policy::Policy;
use crate::policy::costs::CostSource;
use crate::policy::limits::Limit;

const DAY: u64 = 86_400;

/// The shortest range: several scrapes, at the usual intervals.
const RANGE_SECONDS_MIN: u64 = 60;

/// The counter of requests by caller, if the policy names no metric.
const USAGE_USUAL: &str = "sluicegate.usage.requests";

/// The file, for the policy at `path`.
pub(super) fn rules(path: &Path, directory: &DirectoryArgs) -> Result<String, Failure> {
    let ReadPolicy {
        document, policy, ..
    } = document::read_valid(path, directory)?;
    let document = serde_json::from_str(&document.to_json()).unwrap_or_default();
    let mut writer = Writer {
        policy: &policy,
        usage: usage_counters(&document),
        text: format!(
            include_str!("prometheus/head.yaml.in"),
            name = quoted(&format!("sluicegate-{}", policy.name))
        ),
    };
    for limit in &policy.limits {
        writer.limit(limit);
    }
    if policy.limits.is_empty() {
        writer.text.truncate(writer.text.trim_end().len());
        writer.text.push_str(" []\n");
    }
    Ok(writer.text)
}

/// Envoy's counters of requests by caller, each with its limits (none: all of them); empty if usage
/// does not go there.
fn usage_counters(document: &Value) -> Vec<(String, Vec<String>)> {
    if document.pointer("/usage/to/stats") != Some(&Value::Bool(true)) {
        return Vec::new();
    }
    let Some(metrics) = document
        .pointer("/usage/metrics")
        .and_then(|all| all.as_array())
    else {
        return vec![(counter(USAGE_USUAL), Vec::new())];
    };
    let read = |metric: &Value| {
        let limits = metric.get("limits")?.as_array()?.iter();
        let limits = limits.filter_map(|limit| limit.as_str().map(str::to_owned));
        Some((counter(metric.get("name")?.as_str()?), limits.collect()))
    };
    metrics.iter().filter_map(read).collect()
}

/// The name of a metric as a counter of Envoy's.
fn counter(metric: &str) -> String {
    let plain = metric.replace(|letter: char| !letter.is_ascii_alphanumeric(), "_");
    format!("{plain}_total")
}

struct Writer<'a> {
    policy: &'a Policy,
    usage: Vec<(String, Vec<String>)>,
    text: String,
}

impl Writer<'_> {
    fn limit(&mut self, limit: &Limit) {
        let seconds = window_seconds(&limit.rule.rule);
        let quota = limit.rule.rule.quota();
        let name = &*limit.scope.name;
        let selected = format!(
            "policy={},limit={}",
            quoted(&self.policy.name),
            quoted(name)
        );
        // Each proxy counts by itself, unless the limit is shared.
        let by = match limit.shared {
            Some(_) => "sum by (policy, limit)",
            None => "sum by (policy, limit, instance)",
        };
        self.text.push_str(&format!("      # {}\n", quoted(name)));
        let labels = [("policy", &*self.policy.name), ("limit", name)];
        if limit.rule.own.is_none() {
            let number = format!("vector({quota})");
            self.rule("sluicegate:limit_quota", &number, &labels);
        }
        let window = format!("vector({seconds})");
        self.rule("sluicegate:limit_window_seconds", &window, &labels);

        let used = used(limit, by, &selected, seconds);
        self.rule("sluicegate:limit_used:units", &used, &labels);
        let range = seconds.max(RANGE_SECONDS_MIN);
        let refused = decisions(by, &selected, "refused|would_refuse", range);
        let all = decisions(by, &selected, "admitted|refused|would_refuse", range);
        let share = format!("{refused} / ({all} > 0)");
        self.rule("sluicegate:limit_refused:ratio", &share, &labels);
        let is_one_counter = limit.scope.per.is_empty() && limit.overrides.all().is_empty();
        if is_one_counter && limit.rule.own.is_none() {
            let share = format!("({used}) / {quota}");
            self.rule("sluicegate:limit_used:ratio", &share, &labels);
        }
        self.callers(limit, seconds);
    }

    /// The share of its quota that each caller has used, for each number that the policy states.
    fn callers(&mut self, limit: &Limit, seconds: u64) {
        let name = &*limit.scope.name;
        let others = limit.overrides.all().iter().filter_map(|it| it.other());
        let fixed = std::iter::once(&limit.rule).chain(others);
        let quotas: BTreeSet<u64> = fixed
            .filter(|rule| rule.own.is_none())
            .map(|rule| rule.rule.quota())
            .collect();
        let by = match limit.shared {
            Some(_) => "sum without (rate_limit_status, instance)",
            None => "sum without (rate_limit_status)",
        };
        for (metric, limits) in self.usage.clone() {
            if !limits.is_empty() && !limits.iter().any(|it| it == name) {
                continue;
            }
            for quota in &quotas {
                let selected = format!(
                    "policy={},limit_name={},limit_count=\"{quota}\",\
                     rate_limit_status!=\"blocked\"",
                    quoted(&self.policy.name),
                    quoted(name),
                );
                let used = increase(by, &metric, &selected, seconds);
                let count = quota.to_string();
                let labels = [
                    ("policy", &*self.policy.name),
                    ("limit_name", name),
                    ("limit_count", &count),
                    ("metric", &metric),
                ];
                let record = "sluicegate:caller_used:ratio";
                self.rule(record, &format!("{used} / {quota}"), &labels);
            }
        }
    }

    /// Adds a rule. Without labels of their own, rules of two limits would look like duplicates.
    fn rule(&mut self, record: &str, expression: &str, labels: &[(&str, &str)]) {
        let expression = single_quoted(expression);
        let labels: Vec<String> = labels
            .iter()
            .map(|(name, value)| format!("{name}: {}", quoted(value)))
            .collect();
        self.text.push_str(&format!(
            "      - record: {record}\n        expr: {expression}\n        labels: {{ {} }}\n",
            labels.join(", ")
        ));
    }
}

/// The units that the admitted requests of one window cost.
fn used(limit: &Limit, by: &str, selected: &str, seconds: u64) -> String {
    let costs: Vec<u64> = limit
        .costs
        .all()
        .map_while(|cost| match cost {
            CostSource::Fixed(units) => Some(*units),
            CostSource::Header(_) | CostSource::Settled { .. } => None,
        })
        .collect();
    match costs.as_slice() {
        [units] if limit.costs.all().count() == 1 && !limit.costs.depends_on_route() => {
            let admitted = decisions(by, selected, "admitted|would_refuse", seconds);
            let refunds = increase(by, "sluicegate_refunds_total", selected, seconds);
            match units {
                1 => format!("{admitted} - {refunds}"),
                units => format!("({admitted} - {refunds}) * {units}"),
            }
        }
        _ => increase(by, "sluicegate_units_total", selected, seconds),
    }
}

fn decisions(by: &str, selected: &str, which: &str, seconds: u64) -> String {
    let selected = format!("{selected},decision=~\"{which}\"");
    increase(by, "sluicegate_requests_total", &selected, seconds)
}

/// The increase over one window. A window that is shorter than the range is a part of it.
fn increase(by: &str, metric: &str, selected: &str, seconds: u64) -> String {
    let range = seconds.max(RANGE_SECONDS_MIN);
    let sum = format!("{by} (increase({metric}{{{selected}}}[{range}s]))");
    if range == seconds {
        sum
    } else {
        format!("{sum} * {seconds} / {range}")
    }
}

/// The seconds of the rule's window; of a calendar's the longest one.
fn window_seconds(rule: &Rule) -> u64 {
    let seconds = match rule {
        Rule::Calendar(calendar) => match calendar.period() {
            Period::Seconds(seconds) => u64::from(seconds),
            Period::Day => DAY,
            Period::Week => DAY.saturating_mul(7),
            Period::Months(months) => DAY.saturating_mul(31).saturating_mul(u64::from(months)),
        },
        Rule::Lease(lease) => return window_seconds(&lease.counted().rule()),
        Rule::Bucket(_) | Rule::Rolling(_) | Rule::Seats(_) | Rule::Lock(_) => {
            rule.window(Timestamp::from_nanos(0)).seconds_up()
        }
    };
    seconds.max(1)
}
