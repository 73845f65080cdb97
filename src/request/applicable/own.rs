//! The limits of a caller that do not depend on the request.

use super::{Applicable, Matcher, NoTrace};
use crate::limit::Enforcement;
use crate::policy::Policy;
use crate::policy::limits::{Limit, Visibility};
use crate::policy::replies::Endpoint;
use crate::policy::scope::{Absent, KeyPart, Scope};
use crate::request::checks::part_value;
use crate::request::head::Request;
use crate::request::identify::Caller;

/// Whether callers may ask for the numbers of a limit.
#[must_use]
pub fn is_shown(limit: &Limit) -> bool {
    limit.enforcement == Enforcement::Enforce && limit.visibility == Visibility::Show
}

impl Applicable {
    /// Finds the limits that apply to all requests of the caller. Replaces earlier results.
    /// `request` has no path. Returns the names of the limits, pools and seat limits that apply to
    /// some requests only.
    pub fn find_own<'p>(
        &mut self,
        request: &Request,
        caller: &Caller<'_>,
        policy: &'p Policy,
        endpoint: &Endpoint,
    ) -> Vec<&'p str> {
        self.find(request, caller, policy, &mut NoTrace);
        self.pools.clear();
        self.seats.clear();
        self.payload = None;
        self.limits.retain(|id| {
            let limit = policy.limits.get(*id);
            limit.is_some_and(|limit| is_shown(limit) && !endpoint.depends_on_request(limit))
        });
        if self.exemption.is_some() || self.denial.is_some() {
            return Vec::new();
        }
        let matcher = Matcher {
            request,
            caller,
            policy,
        };
        let depending = |limit: &&Limit| {
            let is_asked = is_shown(limit) && !limit.scope.selector.refused;
            is_asked && endpoint.depends_on_request(limit) && matcher.unlimited(limit).is_ok()
        };
        let limits = policy.limits.iter().filter(depending);
        let scopes = limits.map(|limit| &limit.scope);
        let pools = policy.pools.iter();
        let pools = pools.filter(|pool| matcher.overridden(&pool.overrides).is_ok());
        let scopes = scopes.chain(pools.map(|pool| &pool.scope));
        let seats = policy.seats.iter();
        let seats = seats.filter(|seats| matcher.overridden(&seats.overrides).is_ok());
        let scopes = scopes.chain(seats.map(|seats| &seats.scope));
        scopes
            .filter(|scope| matcher.may_apply(scope, endpoint))
            .map(|scope| &*scope.name)
            .collect()
    }
}

impl<'p> Matcher<'_, 'p> {
    /// Whether a limit applies to some request of the caller.
    fn may_apply(&self, scope: &'p Scope, endpoint: &Endpoint) -> bool {
        let mut conditions = scope.selector.attributes.iter();
        let is_missing = |part: &KeyPart| match part {
            KeyPart::Attribute(attribute) if !endpoint.varies(*attribute) => {
                part_value(scope, part, self.request, self.caller, self.policy).is_none()
            }
            KeyPart::Attribute(_) | KeyPart::Capture(_) | KeyPart::Word(_) => false,
        };
        self.address(&scope.selector).is_ok()
            && conditions.all(|condition| {
                endpoint.varies(condition.0) || super::satisfies(self.caller, condition)
            })
            && (scope.absent == Absent::Count || !scope.per.iter().any(is_missing))
    }
}
