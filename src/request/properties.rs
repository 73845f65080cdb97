//! The proxy's properties of a request, as far as the policy reads them.

use std::fmt;

use crate::base::property::{Property, PropertySet};
use crate::host::metadata::{Value, in_node};
use crate::host::stream::Properties;
use crate::policy::Policy;

/// The properties of one request that were read.
#[derive(Default)]
pub struct RequestProperties {
    answers: [Vec<u8>; Property::ALL.len()],
}

impl RequestProperties {
    /// Reads the `wanted` properties and no others: each is a host call.
    pub fn ask(&mut self, wanted: PropertySet, host: &impl Properties) {
        for (answer, property) in self.answers.iter_mut().zip(Property::ALL) {
            if wanted.contains(property) {
                *answer = host.property(property).unwrap_or_default();
            } else if !answer.is_empty() {
                answer.clear();
            }
        }
    }

    /// The property; empty if it is absent or was not read.
    #[must_use]
    pub fn of(&self, property: Property) -> &[u8] {
        self.answers
            .get(property.index())
            .map_or(&[], Vec::as_slice)
    }
}

impl fmt::Debug for RequestProperties {
    /// The sizes alone: a session's claims are private.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list()
            .entries(self.answers.iter().map(Vec::len))
            .finish()
    }
}

/// Resolves the attributes whose source is the proxy's own metadata: one host call for the life of
/// a policy, and none if it has no such attribute.
pub fn resolve_node_metadata(policy: &mut Policy, host: &impl Properties) {
    if policy.callers.asks_for_the_node() {
        let node = host.property(Property::Node).unwrap_or_default();
        policy.callers.settle_node(|path| {
            in_node(&node, path)
                .and_then(Value::text)
                .map(|text| (*text).into())
        });
    }
}
