//! Usage of one worker: counts requests, merges them each second, and takes its turn to send.
//!
//! A request costs one look-up in this VM, and no host call. All else is done in ticks: the table
//! is in shared data, and so is the turn, so no state but the last second's ends with a VM.

mod counting;
mod sending;

use std::collections::{BTreeMap, HashMap};

use log::warn;

use super::runtime::Runtime;
use crate::base::id::{Id as _, LimitId};
use crate::base::property::Property;
use crate::base::time::{Span, SteadyTime, Timestamp};
use crate::host::fault::Fault;
use crate::host::metadata::node_id;
use crate::host::shared::SharedData;
use crate::host::shared::cell::{SharedCell, Update};
use crate::host::stream::{Clock, Meter, MetricId, MetricKind, Properties, UsageCalls, UsageToken};
use crate::limit::Rule;
use crate::observe::Event;
use crate::policy::Policy;
use crate::policy::usage::{Protocol, Target, Usage};
use crate::queue::membership::RootId;
use crate::usage::{
    Addition, Bounds, Local, LocalKey, Members, Reckoning, Series, Table, Tags, stats,
};

/// The period of ticks.
pub const TICK: Span = Span::from_seconds(1);

/// Two ticks of a root may be a little less apart.
const LEAST: Span = Span::from_nanos(900_000_000);

/// How often the log says that usage is not accepted.
const LOG_EVERY: Span = Span::from_seconds(60);

/// A host by which usage can be exported.
pub trait UsageHost: Clock + Meter + UsageCalls {}

impl<T: Clock + Meter + UsageCalls> UsageHost for T {}

/// The state of the export of usage in one worker, under one policy.
#[derive(Debug)]
pub(super) struct Export {
    /// The root whose callbacks make the calls.
    root: RootId,
    /// The id of this proxy.
    node: Box<str>,
    keys: Keys,
    local: Local,
    /// The key of the request that is counted.
    key: Vec<u8>,
    /// The counters of Envoy that this VM has defined, by series.
    counters: HashMap<Vec<u8>, MetricId>,
    calls: BTreeMap<UsageToken, sending::Sent>,
    /// When it merged last.
    merged: Option<SteadyTime>,
    logged: Option<SteadyTime>,
}

/// Defines a metric of the host, or finds one that was defined.
pub type Define<'a> = &'a mut dyn FnMut(MetricKind, &str) -> MetricId;

/// The receiver of usage by calls, and its protocol.
enum Outlet<'a> {
    /// A collector by OTLP/HTTP, by its cluster.
    Http(&'a str),
    /// A collector by OTLP/gRPC.
    Grpc(&'a str),
    /// A receiver of CloudEvents.
    Events(&'a str),
}

impl<'a> Outlet<'a> {
    const fn of(to: &'a Target) -> Option<Self> {
        match to {
            Target::Otlp {
                cluster,
                protocol: Protocol::Http,
            } => Some(Self::Http(cluster)),
            Target::Otlp {
                cluster,
                protocol: Protocol::Grpc,
            } => Some(Self::Grpc(cluster)),
            Target::CloudEvents { cluster } => Some(Self::Events(cluster)),
            Target::Stats => None,
        }
    }

    const fn cluster(&self) -> &'a str {
        match self {
            Self::Http(cluster) | Self::Grpc(cluster) | Self::Events(cluster) => cluster,
        }
    }
}

/// Whether it is too early for what was done last at this time and is due at each tick.
pub(super) fn is_early(last: Option<SteadyTime>, now: SteadyTime) -> bool {
    last.is_some_and(|last| last <= now && now.since(last) < LEAST)
}

/// The keys in shared data; no policy name contains a point.
#[derive(Debug)]
struct Keys {
    table: Box<[u8]>,
    members: Box<[u8]>,
    turn: Box<[u8]>,
    changes: Box<[u8]>,
    changes_turn: Box<[u8]>,
}

/// The key of the changes of the policy with this name that wait.
pub(super) fn changes_key(policy: &str) -> Box<[u8]> {
    format!("sluicegate.chg1.{policy}").into_bytes().into()
}

impl Keys {
    fn of(policy: &str) -> Self {
        let key = |kind: &str| format!("sluicegate.{kind}.{policy}").into_bytes().into();
        Self {
            table: key("use1"),
            members: key("use1s"),
            turn: key("use1t"),
            changes: changes_key(policy),
            changes_turn: key("chg1t"),
        }
    }
}

impl<D> Runtime<D> {
    /// Whether usage is exported. If so, [`Runtime::export`] must be called.
    #[must_use]
    pub const fn has_usage(&self) -> bool {
        self.policy.usage.is_some()
    }
}

impl<D: SharedData + Properties> Runtime<D> {
    /// Starts to export usage by calls in callbacks of `root`.
    pub fn export(&mut self, root: RootId) {
        let Some(usage) = &self.policy.usage else {
            return;
        };
        let node = self.store.borrow().data().property(Property::Node);
        let export = Export {
            root,
            node: node.as_deref().and_then(node_id).unwrap_or_default(),
            keys: Keys::of(&self.policy.name),
            local: Local::new(usage.series_max),
            key: Vec::new(),
            counters: HashMap::new(),
            calls: BTreeMap::new(),
            merged: None,
            logged: None,
        };
        self.usage = Some(export.into());
    }
}

impl<D: SharedData> Runtime<D> {
    /// A tick: merges what this worker counted, and sends if it is its turn.
    pub fn on_usage_tick(&self, host: &impl UsageHost, define: Define<'_>) {
        let (Some(usage), Some(export)) = (&self.policy.usage, &self.usage) else {
            return;
        };
        let mut export = export.borrow_mut();
        let now = host.steady();
        if is_early(export.merged, now) {
            return;
        }
        export.merged = Some(now);
        self.merge_usage(&mut export, usage, host, define);
        if let Some(outlet) = Outlet::of(&usage.to) {
            self.send_usage(&mut export, usage, &outlet, host);
            self.send_changes(&mut export, usage, &outlet, host);
        }
    }

    /// Merges what this worker counted: its root ends.
    pub fn flush_usage(&self, host: &(impl Clock + Meter), define: Define<'_>) {
        if let (Some(usage), Some(export)) = (&self.policy.usage, &self.usage) {
            self.merge_usage(&mut export.borrow_mut(), usage, host, define);
        }
    }

    fn merge_usage(
        &self,
        export: &mut Export,
        usage: &Usage,
        host: &(impl Clock + Meter),
        define: Define<'_>,
    ) {
        if export.local.is_empty() {
            return;
        }
        let additions = additions(&export.local, usage, &self.policy);
        let merged = match usage.to {
            Target::Stats => self.add_to_counters(
                (&export.keys, &mut export.counters),
                usage,
                &additions,
                (host, define),
            ),
            Target::Otlp { .. } | Target::CloudEvents { .. } => {
                let now = host.now().unix_seconds();
                let bounds = Bounds {
                    series_max: usage.series_max,
                };
                self.update_table(&export.keys.table, |table| {
                    table.merge(&additions, now, bounds)
                })
            }
        };
        drop(additions);
        match merged {
            Ok(overflow) => {
                export.local.clear();
                if overflow > 0 {
                    self.metrics.observe(host, Event::UsageOverflow(overflow));
                }
            }
            // The next tick merges it, with what is counted by then.
            Err(fault) => self.metrics.observe(host, Event::Fault(fault)),
        }
    }

    /// Changes the table of the proxy.
    fn update_table<T>(
        &self,
        key: &[u8],
        mut change: impl FnMut(&mut Table<'_>) -> T,
    ) -> Result<T, Fault> {
        let store = self.store.borrow();
        let updated = SharedCell::new(store.data(), key).update(|bytes| {
            let mut table = Table::decode(&bytes);
            let result = change(&mut table);
            Ok(Update::Store(table.encode(), result))
        });
        Ok(updated?.result)
    }

    /// Adds to Envoy's counters; the requests that found no place of their own.
    fn add_to_counters(
        &self,
        (keys, counters): (&Keys, &mut HashMap<Vec<u8>, MetricId>),
        usage: &Usage,
        additions: &[Addition<'_>],
        (host, define): (&impl Meter, Define<'_>),
    ) -> Result<u64, Fault> {
        let encoded: Vec<Vec<u8>> = additions.iter().map(|it| it.series.encode()).collect();
        let is_unknown = |(addition, key): &(&Addition<'_>, &Vec<u8>)| {
            addition.reckoning.is_some() && !counters.contains_key(*key)
        };
        let mut unknown = additions.iter().zip(&encoded).filter(is_unknown).peekable();
        let mut admitted: HashMap<Vec<u8>, bool> = HashMap::new();
        if unknown.peek().is_some() {
            let unknown: Vec<&Vec<u8>> = unknown.map(|(_, key)| key).collect();
            let store = self.store.borrow();
            let updated = SharedCell::new(store.data(), &keys.members).update(|bytes| {
                let (mut members, mut is_new) = (Members::decode(&bytes), false);
                let mut admit = |key| members.admit(key, usage.series_max, &mut is_new);
                let all = unknown.iter().map(|key| ((*key).clone(), admit(key)));
                let all = all.collect();
                Ok(if is_new {
                    Update::Store(members.encode(), all)
                } else {
                    Update::Keep(all)
                })
            });
            admitted = updated?.result;
        }
        let mut overflow = 0_u64;
        for (addition, key) in additions.iter().zip(encoded) {
            // The worker's overflow has no place, though its counter may exist.
            let own = addition.reckoning.is_some()
                && (counters.contains_key(&key) || admitted.get(&key) == Some(&true));
            let (key, series) = if own {
                (key, addition.series.clone())
            } else {
                overflow = overflow.saturating_add(addition.requests);
                let series = addition.series.overflow();
                (series.encode(), series)
            };
            let counter = counters.entry(key).or_insert_with(|| {
                let name = stats::counter(&series, &self.policy.name);
                define(MetricKind::Counter, &name)
            });
            host.add(*counter, addition.requests);
        }
        Ok(overflow)
    }

    /// Notes that something was not accepted.
    fn note_failure(&self, export: &mut Export, host: &(impl Clock + Meter), what: &str) {
        self.metrics.observe(host, Event::UsageFailed);
        let now = host.steady();
        if export.logged.is_none_or(|at| now.since(at) >= LOG_EVERY) {
            export.logged = Some(now);
            let policy = &self.policy.name;
            warn!("policy {policy}: {what}");
        }
    }
}

/// The counts of a worker, as additions to the table of the proxy.
fn additions<'l>(local: &'l Local, usage: &'l Usage, policy: &'l Policy) -> Vec<Addition<'l>> {
    let mut all = Vec::new();
    for (key, tally) in local.entries() {
        let id = LimitId::new(key.limit);
        let Some(limit) = policy.limits.get(id) else {
            continue;
        };
        let tags = usage.tags.iter().map(|(name, _)| &**name);
        let own: Vec<(&str, &str)> = tags.zip(key.values()).collect();
        for (at, requests) in tally.seconds() {
            let (reckoning, period) = reckoning(&key, &limit.rule.rule, at);
            for metric in usage.metrics_of(id) {
                let tags = Tags::Caller {
                    count: key.count,
                    period,
                    own: own.clone(),
                };
                all.push(Addition {
                    series: Series {
                        metric,
                        limit: &limit.scope.name,
                        status: key.status,
                        tags,
                    },
                    reckoning: Some(reckoning),
                    at,
                    requests,
                });
            }
        }
    }
    for (limit, status, requests) in local.overflow() {
        let id = LimitId::new(limit);
        let Some(limit) = policy.limits.get(id) else {
            continue;
        };
        all.extend(usage.metrics_of(id).map(|metric| Addition {
            series: Series {
                metric,
                limit: &limit.scope.name,
                status,
                tags: Tags::Overflow,
            },
            reckoning: None,
            at: 0,
            requests,
        }));
    }
    all
}

/// How the window of a request in the second `at` is found, and how long it is.
fn reckoning(key: &LocalKey<'_>, rule: &Rule, at: u64) -> (Reckoning, u64) {
    match rule {
        Rule::Calendar(calendar) => {
            let at = Timestamp::from_nanos(at.saturating_mul(1_000_000_000));
            let window = calendar.window(at);
            let seconds = window.length().seconds_up();
            let start = window.start.unix_seconds();
            (Reckoning::Calendar { start, seconds }, seconds)
        }
        Rule::Bucket(_) | Rule::Rolling(_) | Rule::Seats(_) | Rule::Lock(_) | Rule::Lease(_) => {
            let seconds = key.period;
            (Reckoning::Sliding { seconds }, seconds)
        }
    }
}
