//! Keeps why limits do not apply.

use std::collections::BTreeMap;

use crate::base::id::LimitId;
use crate::request::applicable::{Mismatch, Trace};

/// For each limit that does not apply in some reading of the path, why. Of several readings the one
/// counts in which the most conditions hold.
#[derive(Debug, Default)]
pub(super) struct Reasons<'p>(BTreeMap<LimitId, Mismatch<'p>>);

impl<'p> Reasons<'p> {
    /// Why a limit does not apply; `None` if it applies in all readings.
    pub(super) fn of(&self, limit: LimitId) -> Option<Mismatch<'p>> {
        self.0.get(&limit).copied()
    }
}

impl<'p> Trace<'p> for Reasons<'p> {
    const LISTENS: bool = true;

    fn reject(&mut self, limit: LimitId, why: Mismatch<'p>) {
        let known = self.0.entry(limit).or_insert(why);
        if conditions_met(why) > conditions_met(*known) {
            *known = why;
        }
    }
}

/// How many of a limit's kinds of conditions hold before the one that does not.
const fn conditions_met(why: Mismatch<'_>) -> usize {
    match why {
        Mismatch::Identified | Mismatch::Tier => 0,
        Mismatch::Routes => 1,
        Mismatch::Except(_) => 2,
        Mismatch::Address => 3,
        Mismatch::Attribute(_) => 4,
        Mismatch::Key(_) => 5,
        Mismatch::Unlimited(_) => 6,
        Mismatch::Exempt => 7,
    }
}
