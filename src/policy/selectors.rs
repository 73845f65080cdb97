//! All selectors of a policy, and what the proxy must be asked for because of them.

use super::Policy;
use super::select::Selector;
use super::selector_index::SelectorId;
use crate::base::property::{Property, PropertySet};

impl Policy {
    /// All selectors of exemptions, denials and limits, in the order of their ids.
    pub(super) fn selectors(&self) -> impl Iterator<Item = (SelectorId, &Selector)> {
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

    /// Whether a selector names networks of clients.
    pub(crate) fn selects_by_address(&self) -> bool {
        self.selectors()
            .any(|(_, selector)| selector.networks.is_some())
    }

    /// The properties that callers are identified by, and the client's address if a selector names
    /// networks.
    pub(super) fn asked_properties(&self) -> PropertySet {
        let mut properties = self.callers.properties;
        if self.selects_by_address() {
            properties.add(Property::SourceAddress);
        }
        properties
    }
}
