//! The bodies that all workers of the proxy inspect, as gauges.
//!
//! A gauge that each body moved up and down would count the bodies of a VM that failed for ever. So
//! a worker states its own bodies once a second in a record of shared data, and shows the sum over
//! all workers that go on to state theirs (decision 0043). A body costs no host call.

#[cfg(test)]
mod simulation;
mod statements;

use std::cell::Cell;

use super::runtime::Runtime;
use super::usage::is_early;
use crate::base::time::SteadyTime;
use crate::host::shared::SharedData;
use crate::host::stream::{Clock, Meter};
use crate::observe::Event;
use crate::policy::Policy;
use statements::state;

/// What one worker states of the bodies under one policy.
#[derive(Debug)]
pub(super) struct Statement {
    /// The key of the record in shared data.
    key: Box<[u8]>,
    /// The number of its entry; `None` before the first one.
    number: Cell<Option<u32>>,
    /// When it was made last.
    made: Cell<Option<SteadyTime>>,
}

impl Statement {
    /// Nothing is stated yet; `None` if the policy inspects no body.
    pub(super) fn of(policy: &Policy) -> Option<Self> {
        // No policy name contains a point.
        let key = || format!("sluicegate.upl1.{}", policy.name).into_bytes();
        policy.inspects_bodies().then(|| Self {
            key: key().into(),
            number: Cell::default(),
            made: Cell::default(),
        })
    }
}

impl<D> Runtime<D> {
    /// Whether bodies may be inspected. If so, [`Runtime::on_uploads_tick`] must be called.
    #[must_use]
    pub const fn has_uploads(&self) -> bool {
        self.uploads.is_some()
    }
}

impl<D: SharedData> Runtime<D> {
    /// A tick: states the bodies that this worker inspects, and shows those of all workers.
    pub fn on_uploads_tick(&self, host: &(impl Clock + Meter)) {
        let Some(statement) = &self.uploads else {
            return;
        };
        let now = host.steady();
        if !is_early(statement.made.get(), now) {
            self.state_uploads(statement, now, host);
        }
    }

    /// States the bodies once more: the root ends, and its ticks with it.
    pub fn flush_uploads(&self, host: &(impl Clock + Meter)) {
        if let Some(statement) = &self.uploads {
            self.state_uploads(statement, host.steady(), host);
        }
    }

    fn state_uploads(&self, statement: &Statement, now: SteadyTime, meter: &impl Meter) {
        statement.made.set(Some(now));
        let store = self.store.borrow();
        let stated = state(
            (store.data(), &statement.key),
            &statement.number,
            (now, self.bodies.uploads()),
            |all| self.metrics.show_uploads(meter, all),
        );
        if let Err(fault) = stated {
            self.metrics.observe(meter, Event::Fault(fault));
        }
    }
}
