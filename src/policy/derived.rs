//! Values derived from the parts of a policy.

use super::Policy;
use crate::limit::Enforcement;

impl Policy {
    /// Sets the values derived from the parts of the policy.
    pub(super) fn derive(&mut self) {
        if self.enforcement == Enforcement::Shadow {
            self.refuse_nothing();
        }
        self.index_selectors();
        let own = self.limits.iter().map(|limit| &limit.refused);
        let own = own.chain(self.pools.iter().map(|pool| &pool.refused));
        let own = own.chain(self.seats.iter().map(|seats| &seats.refused));
        let own = own.chain(self.payloads.iter().map(|payload| &payload.refused));
        let own = own.filter_map(Option::as_deref);
        self.replies.note(own, &self.callers.sources);
    }

    /// Puts everything in shadow: clients notice nothing of the policy.
    fn refuse_nothing(&mut self) {
        let shadow = Enforcement::Shadow;
        self.limits
            .iter_mut()
            .for_each(|it| it.enforcement = shadow);
        self.pools.iter_mut().for_each(|it| it.enforcement = shadow);
        self.seats.iter_mut().for_each(|it| it.enforcement = shadow);
        for payload in self.payloads.iter_mut() {
            (payload.enforcement, payload.hold) = (shadow, false);
        }
        self.replies.fields = None;
        self.replies.endpoint = None;
    }
}
