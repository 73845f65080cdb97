//! All selectors of a policy, and the properties that must be read because of them.

use super::Policy;
use super::select::Selector;
use super::selector_index::{SelectorId, SelectorIndex};
use crate::base::property::{Property, PropertySet};

/// The limits on requests that are about to receive a 401.
#[derive(Debug)]
pub struct RefusedLimits {
    /// Their selectors.
    pub index: SelectorIndex,
    /// Whether one locks its key, also for requests that are identified.
    pub locks: bool,
}

impl Policy {
    /// All selectors of exemptions, denials and limits, in the order of their ids.
    fn selectors(&self) -> impl Iterator<Item = (SelectorId, &Selector)> {
        let exempt = self
            .exempt
            .entries()
            .map(|(id, selector)| (SelectorId::Exemption(id), selector));
        let deny = self
            .deny
            .entries()
            .map(|(id, selector)| (SelectorId::Denial(id), selector));
        let limits = self
            .limits
            .entries()
            .map(|(id, limit)| (SelectorId::Limit(id), &limit.scope.selector));
        let seats = self
            .seats
            .entries()
            .map(|(id, limit)| (SelectorId::Seats(id), &limit.scope.selector));
        let pools = self
            .pools
            .entries()
            .map(|(id, limit)| (SelectorId::Pool(id), &limit.scope.selector));
        let payloads = self
            .payloads
            .entries()
            .map(|(id, limit)| (SelectorId::Payload(id), &limit.scope.selector));
        exempt
            .chain(deny)
            .chain(limits)
            .chain(seats)
            .chain(pools)
            .chain(payloads)
    }

    /// Indexes all selectors, and finds the properties that they need.
    pub(super) fn index_selectors(&mut self) {
        self.index = self.index_of(false);
        let limits = self.limits.iter();
        let mut on_refused = limits
            .filter(|limit| limit.scope.selector.refused)
            .peekable();
        let counts_refused = on_refused.peek().is_some();
        let locks = on_refused.any(|limit| limit.lock.is_some());
        self.refused = counts_refused.then(|| RefusedLimits {
            index: self.index_of(true),
            locks,
        });
        self.properties = self.asked_properties();
    }

    /// The selectors of the limits on refused credentials, if that is `refused`; otherwise all
    /// others.
    fn index_of(&self, refused: bool) -> SelectorIndex {
        SelectorIndex::of(
            self.selectors()
                .filter(|(_, selector)| selector.refused == refused),
        )
    }

    /// Whether a selector names networks of clients.
    pub(crate) fn selects_by_address(&self) -> bool {
        self.selectors()
            .any(|(_, selector)| selector.networks.is_some())
    }

    /// The properties that callers are identified by, and the client's address if a selector names
    /// networks.
    fn asked_properties(&self) -> PropertySet {
        let mut properties = self.callers.properties;
        if self.selects_by_address() {
            properties.add(Property::SourceAddress);
        }
        properties
    }
}
