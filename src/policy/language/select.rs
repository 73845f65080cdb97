//! Classes of requests, and selectors.

use super::Constraint;
use super::formats::{Name, NetworkText, Reference, RouteText, Text};
#[cfg(not(target_arch = "wasm32"))]
use super::key::Optional;
use super::key::{mapping, words};
use super::kind::{OneOrMany, Set};
#[cfg(not(target_arch = "wasm32"))]
use super::{Key, Kind, Names, Rest};
use crate::limit::FailureMode;
use crate::policy::scope::Absent;

/// Routes, of which one must match.
pub(crate) type Routes = Set<RouteText, 1, 10_000>;

/// The value that an attribute must have, or several, of which it must have one.
pub(crate) type ConditionValues = OneOrMany<Text<ATTRIBUTE_BYTES_MAX>, 1_000>;

/// The longest value of an attribute that a policy states.
pub(crate) const ATTRIBUTE_BYTES_MAX: usize = 256;

mapping! {
    /// A class of requests with budgets of its own.
    Tier "{ name: write, routes: [\"POST /v1/**\"] }" {
        /// The unique name of the tier.
        NAME "name": Name, required;
        /// A request that matches one of them belongs to the tier. The first tier that matches
        /// wins. A request that matches none has no tier.
        ROUTES "routes": Routes, required;
    }
}

mapping! {
    /// Selects requests: all conditions must hold.
    Selector "{ routes: [/v1/**] }" constraints [Constraint::NotEmpty] {
        /// The request belongs to this tier, or to one of these.
        TIER "tier": OneOrMany<Reference, 1_000>, optional "any";
        /// The request matches one of these routes.
        ROUTES "routes": Routes, optional "any";
        /// The request matches none of these routes.
        EXCEPT "except": Routes, optional "none";
        /// The client's address, as Envoy determined it, is in this network, or in one of these:
        /// `client_address: [192.0.2.0/24, 2001:db8::/32]`.
        CLIENT_ADDRESS "client_address": OneOrMany<NetworkText, 1_000>, optional "any";
    }
    rest attributes(&["route", "method", "host", "sha256", "until"]);
}

mapping! {
    /// Selects callers: all conditions must hold.
    CallerSelector "{ org: acme }" constraints [Constraint::NotEmpty] {}
    rest attributes(&[
        "tier", "routes", "except", "route", "method", "host", "sha256", "until",
    ]);
}

/// Conditions on the attributes of a caller.
#[cfg(not(target_arch = "wasm32"))]
fn attributes(but: &'static [&'static str]) -> Rest {
    let credential: Key<Selector, OneOrMany<Reference, 1_000>, Optional> =
        Key::new("credential", Optional);
    Rest {
        key: "any attribute",
        doc: "The caller has this value, or one of these: `plan: free`, `org: [acme, globex]`. A \
              caller without the attribute does not match.",
        names: Names::But(but),
        shape: ConditionValues::shape(),
        count: (Some(1), None),
        absent: "any",
        words: vec![credential.describe(
            &[
                " The first accepted credential of the request has this name, or one of these: \
               `credential: [bearer]`. `none` matches requests without an accepted credential. \
               In a limit, `refused` matches requests that are about to receive a 401, and no \
               others.",
            ],
            "any",
        )],
    }
}

words! {
    Absent, "a treatment of absent parts" {
        /// Count it together with all such callers.
        "count" => Self::Count,
        /// Do not apply to it.
        "skip" => Self::Skip,
    }
}

words! {
    FailureMode, "a failure mode" {
        /// Admit the request.
        "allow" => Self::Allow,
        /// Refuse the request with 429 and `Retry-After: 1`.
        "deny" => Self::Deny,
    }
}
