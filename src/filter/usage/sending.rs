//! Messages to the receiver, and their answers.

use super::{Export, Outlet, UsageHost};
use crate::base::time::{Span, SteadyTime};
use crate::filter::runtime::Runtime;
use crate::host::shared::SharedData;
use crate::host::shared::cell::{SharedCell, Update};
use crate::host::stream::{UsageToken, Way};
use crate::observe::Event;
use crate::policy::usage::{Target, Usage};
use crate::usage::change::{self, Change};
use crate::usage::otlp::Rejected;
use crate::usage::{Batch, Table, cloudevents, otlp, turn};

/// The longest time that one call takes.
const TIMEOUT: Span = Span::from_seconds(5);

/// How long a worker has the turn if it says nothing more: its VM may have failed.
const HOLD: Span = Span::from_seconds(8);

/// Something on its way.
#[derive(Debug)]
pub(super) struct Sent {
    what: What,
    turn: SteadyTime,
    /// When the turn was taken.
    began: SteadyTime,
}

#[derive(Debug)]
enum What {
    /// The batch that ends at this nanosecond.
    Batch(u64),
    /// The changes of the policy at these nanoseconds.
    Changes(Vec<u64>),
}

impl<D: SharedData> Runtime<D> {
    /// Sends the batch that is due, if it is this worker's turn.
    pub(super) fn send_usage(
        &self,
        export: &mut Export,
        usage: &Usage,
        outlet: &Outlet<'_>,
        host: &impl UsageHost,
    ) {
        let began = host.steady();
        let Some(turn) = self.take_turn(&export.keys.turn, began) else {
            return;
        };
        let now = host.now().nanos();
        let begun = self.update_table(&export.keys.table, |table| {
            let batch = table.begin(now)?;
            let body = self.encode_batch(table, batch, (now, &export.node), outlet);
            if body.is_empty() {
                // Only ratios go on, which this outlet does not take.
                table.accept(batch.to, now / 1_000_000_000);
                return None;
            }
            Some((batch, body))
        });
        let (batch, body) = match begun {
            Ok(Some(begun)) => begun,
            Ok(None) => return self.end_turn(&export.keys.turn, turn, began.after(usage.every)),
            Err(fault) => {
                self.metrics.observe(host, Event::Fault(fault));
                return self.end_turn(&export.keys.turn, turn, began.after(usage.every));
            }
        };
        let way = match outlet {
            Outlet::Grpc(_) => Way::Service(otlp::METRICS.service, otlp::METHOD),
            Outlet::Http(_) => Way::Post(otlp::METRICS.path, otlp::CONTENT_TYPE),
            Outlet::Events(_) => Way::Post(cloudevents::PATH, cloudevents::CONTENT_TYPE),
        };
        let what = What::Batch(batch.to);
        self.call_out(
            export,
            usage,
            (outlet, way),
            &body,
            host,
            Sent { what, turn, began },
        );
    }

    fn encode_batch(
        &self,
        table: &Table<'_>,
        batch: Batch,
        (now, node): (u64, &str),
        outlet: &Outlet<'_>,
    ) -> Vec<u8> {
        match outlet {
            Outlet::Grpc(_) | Outlet::Http(_) => otlp::metrics(table, batch, now, node),
            Outlet::Events(_) => cloudevents::sums(table, batch, &self.policy.name, node),
        }
    }

    /// Sends the changes of the policy that wait, if no other worker does.
    pub(super) fn send_changes(
        &self,
        export: &mut Export,
        usage: &Usage,
        outlet: &Outlet<'_>,
        host: &impl UsageHost,
    ) {
        let changes = self.changes(&export.keys.changes);
        if changes.is_empty() {
            return;
        }
        let began = host.steady();
        let Some(turn) = self.take_turn(&export.keys.changes_turn, began) else {
            return;
        };
        // Another worker may have sent them meanwhile.
        let changes = self.changes(&export.keys.changes);
        if changes.is_empty() {
            return self.end_turn(&export.keys.changes_turn, turn, began);
        }
        let (policy, now) = (&self.policy.name, host.now().nanos());
        let (way, body) = match outlet {
            Outlet::Grpc(_) => (
                Way::Service(otlp::LOGS.service, otlp::METHOD),
                otlp::logs(&changes, policy, now, &export.node),
            ),
            Outlet::Http(_) => (
                Way::Post(otlp::LOGS.path, otlp::CONTENT_TYPE),
                otlp::logs(&changes, policy, now, &export.node),
            ),
            Outlet::Events(_) => (
                Way::Post(cloudevents::PATH, cloudevents::CONTENT_TYPE),
                cloudevents::changes(&changes, policy, &export.node),
            ),
        };
        let what = What::Changes(changes.iter().map(|change| change.at).collect());
        self.call_out(
            export,
            usage,
            (outlet, way),
            &body,
            host,
            Sent { what, turn, began },
        );
    }

    fn call_out(
        &self,
        export: &mut Export,
        usage: &Usage,
        (outlet, way): (&Outlet<'_>, Way),
        body: &[u8],
        host: &impl UsageHost,
        sent: Sent,
    ) {
        match host.call_out(export.root.0, outlet.cluster(), way, body, TIMEOUT) {
            Some(token) => {
                export.calls.insert(token, sent);
            }
            None => self.fail_usage(export, usage, host, &sent, "Envoy has no such cluster"),
        }
    }

    /// The host reports the end of a call, with its answer or the reason why there is none. Whether
    /// it was one for usage.
    pub fn on_usage_call(
        &self,
        host: &impl UsageHost,
        token: UsageToken,
        result: Result<Vec<u8>, String>,
    ) -> bool {
        let (Some(usage), Some(export)) = (&self.policy.usage, &self.usage) else {
            return false;
        };
        let mut export = export.borrow_mut();
        let Some(sent) = export.calls.remove(&token) else {
            return false;
        };
        match result {
            Ok(answer) => self.note_rejected(&mut export, usage, host, &answer),
            Err(why) => {
                self.fail_usage(&mut export, usage, host, &sent, &why);
                return true;
            }
        }
        match &sent.what {
            What::Batch(to) => {
                let now = host.now().unix_seconds();
                let accepted =
                    self.update_table(&export.keys.table, |table| table.accept(*to, now));
                let next = match accepted {
                    // There were too many for one batch.
                    Ok(Some(true)) => host.steady(),
                    Ok(Some(false) | None) => sent.began.after(usage.every),
                    Err(fault) => {
                        self.metrics.observe(host, Event::Fault(fault));
                        sent.began.after(usage.every)
                    }
                };
                self.end_turn(&export.keys.turn, sent.turn, next);
            }
            What::Changes(times) => {
                let store = self.store.borrow();
                let mut cell = SharedCell::new(store.data(), &export.keys.changes);
                let _ = cell.update(|bytes| {
                    let mut waiting = change::read(&bytes);
                    waiting.retain(|change| !times.contains(&change.at));
                    Ok(Update::Store(change::write(&waiting), ()))
                });
                drop(store);
                self.end_turn(&export.keys.changes_turn, sent.turn, host.steady());
            }
        }
        true
    }

    /// A part of something was not accepted. By OTLP's rules it is lost: the rest would be counted
    /// twice if it were sent again.
    fn note_rejected(
        &self,
        export: &mut Export,
        usage: &Usage,
        host: &impl UsageHost,
        answer: &[u8],
    ) {
        if let Target::Otlp { .. } = usage.to
            && let Some(Rejected { count, why }) = otlp::partial_success(answer)
        {
            let what = format!("the collector accepted usage without {count} points: {why}");
            self.note_failure(export, host, &what);
        }
    }

    /// Something was not accepted: it is sent again.
    fn fail_usage(
        &self,
        export: &mut Export,
        usage: &Usage,
        host: &impl UsageHost,
        sent: &Sent,
        why: &str,
    ) {
        let what = format!("usage is not accepted and will be sent again: {why}");
        self.note_failure(export, host, &what);
        let key = match sent.what {
            What::Batch(_) => &export.keys.turn,
            What::Changes(_) => &export.keys.changes_turn,
        };
        self.end_turn(key, sent.turn, sent.began.after(usage.every));
    }

    fn changes(&self, key: &[u8]) -> Vec<Change> {
        let store = self.store.borrow();
        let seen = SharedCell::new(store.data(), key).load();
        seen.map_or_else(|_| Vec::new(), |seen| change::read(&seen.bytes))
    }

    fn take_turn(&self, key: &[u8], now: SteadyTime) -> Option<SteadyTime> {
        turn::take(self.store.borrow().data(), key, now, HOLD)
    }

    fn end_turn(&self, key: &[u8], turn: SteadyTime, next: SteadyTime) {
        turn::end(self.store.borrow().data(), key, turn, next);
    }
}
