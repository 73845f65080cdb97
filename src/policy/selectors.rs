//! All selectors of a policy, and what the proxy must be asked for because of them.

use super::Policy;
use super::select::Selector;
use super::selector_index::{SelectorId, SelectorIndex};
use crate::base::property::{Property, PropertySet};

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
        let mut limits = self.limits.iter();
        let counts_refused = limits.any(|limit| limit.scope.selector.refused);
        self.refused_index = counts_refused.then(|| self.index_of(true));
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
