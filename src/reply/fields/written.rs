//! The fields that a policy writes itself.

use super::super::addressee::ReplyTo;
use super::super::values::{Numbers, Values};
use super::{Applied, LimitStatus, Responder};
use crate::policy::Policy;
use crate::policy::replies::{Of, Written};

/// The values that the policy's own fields show.
pub(super) struct Shown<'a> {
    pub(super) policy: &'a Policy,
    pub(super) applied: Applied<'a>,
    /// The limit that `X-RateLimit-*` shows.
    pub(super) one: Option<&'a LimitStatus>,
    pub(super) responder: Responder,
    pub(super) to: ReplyTo<'a>,
}

impl<'a> Shown<'a> {
    /// Appends the value of a field: the first that there is.
    pub(super) fn write(&self, field: &Written, out: &mut String) -> bool {
        field.values.iter().any(|written| {
            if !written.when.applies(self.responder.is_refusal()) {
                return false;
            }
            let numbers = if written.of.is_empty() {
                self.one.and_then(|status| self.of_limit(status))
            } else {
                self.of(&written.of)
            };
            // Without a limit there is nothing to show, unless the refusal itself is.
            let is_about_a_refusal = written.of.is_empty() && self.responder.is_refusal();
            if numbers.is_none() && !is_about_a_refusal {
                return false;
            }
            let values = Values {
                policy: self.policy,
                numbers,
                retry_after: self.responder.retry_after(),
                to: self.to,
                refusal: None,
            };
            written
                .value
                .header(out, |placeholder, out| values.fill(placeholder, out))
        })
    }

    /// Of these, the numbers of the one with the fewest units left; of equal ones the first.
    fn of(&self, of: &[Of]) -> Option<Numbers<'a>> {
        let Applied { limits, pools } = self.applied;
        let candidates = of.iter().filter_map(|of| match of {
            Of::Limit(id) => {
                let status = limits.iter().find(|status| status.limit == *id)?;
                let remaining = status.reading?.balance.remaining;
                let is_stated = self.responder.states(status);
                Some((remaining, is_stated.then(|| self.of_limit(status))??))
            }
            Of::Pool(id) => {
                let status = pools.iter().find(|status| status.pool == *id)?;
                let numbers = Numbers::of_pool(self.policy, status, self.to.now)?;
                Some((status.free.map_or(u64::MAX, u64::from), numbers))
            }
        });
        candidates
            .min_by_key(|(remaining, _)| *remaining)
            .map(|(_, numbers)| numbers)
    }

    fn of_limit(&self, status: &LimitStatus) -> Option<Numbers<'a>> {
        Numbers::of_limit(self.policy, status, self.responder.never_fits())
    }
}
