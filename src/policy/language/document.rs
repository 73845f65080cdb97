//! The document as a whole.

use super::formats::{Name, Reference, Revision};
use super::key::{mapping, words};
use super::kind::{Choice, Count32, List, Map, Set};
use super::{
    Callers, Constraint, Engine, Limit, Payload, Pool, Replies, Seats, Selector, Tier, Usage,
};
use crate::limit::Enforcement;
use crate::policy::access_log::Parts;
use crate::policy::attributes::ATTRIBUTES_MAX;

words! {
    Parts, "a choice of lines" {
        /// None.
        "never" => Self::Never,
        /// Those of requests that the gateway refuses, for an audit log.
        "refused" => Self::Refused,
        /// All.
        "always" => Self::Always,
    }
}

mapping! {
    /// The callers of an API, the limits that apply to them, and the replies that they get.
    Policy "{ version: 1, name: shop, limits: […] }"
    constraints [Constraint::LimitsOne(Self::KINDS)]
    {
        /// The version of the language.
        VERSION "version": Count32<1, 1>, required;
        /// Names the policy in metrics and in the store. A policy with another name has its own
        /// counters.
        NAME "name": Name, required;
        /// Names this content of the policy in metrics, the access log, `check` and `explain`, as a
        /// commit does.
        REVISION "revision": Revision, optional "the first 8 hexadecimal digits of the policy's \
                                                 SHA-256";
        /// How the gateway identifies callers: [callers](#callers).
        CALLERS "callers": Map<Callers>, optional "every caller is anonymous";
        /// Classes of requests: [tiers](#tiers-and-routes).
        TIERS "tiers": List<Map<Tier>, 1, 1_000>, optional "none";
        /// Requests to which no limit applies, and whose responses carry no limit fields:
        /// [exempt](#exempt). One match is enough.
        EXEMPT "exempt": List<Map<Selector>, 1, 1_000>, optional "none";
        /// Requests that receive a 403: [deny](#deny). One match is enough. An exemption takes
        /// precedence.
        DENY "deny": List<Map<Selector>, 1, 1_000>, optional "none";
        /// Units per window or bucket: [limits](#limits). If several apply to a request, all must
        /// admit it, and a refused request is charged to none.
        LIMITS "limits": List<Map<Limit>, 1, 10_000>, optional "none";
        /// Requests in flight at a time: [concurrency](#concurrency). If several pools apply to a
        /// request, it takes a slot of each, in this order.
        CONCURRENCY "concurrency": List<Map<Pool>, 1, 1_000>, optional "none";
        /// Distinct holders at a time: [seats](#seats). These are limits, too: all must admit a
        /// request.
        SEATS "seats": List<Map<Seats>, 1, 1_000>, optional "none";
        /// Size and shape of bodies, checked while they stream: [payloads](#payloads). Only the
        /// first that selects a request applies to it.
        PAYLOADS "payloads": List<Map<Payload>, 1, 1_000>, optional "none";
        /// `shadow` is that of all limits, pools, seat limits and payload limits. Then the gateway
        /// refuses nothing, a 400, a 401 and a 403 included, answers nothing itself, and writes no
        /// field: [shadow](#shadow).
        ENFORCEMENT "enforcement": Choice<Enforcement>, default Enforcement::Enforce;
        /// Response fields and the bodies of refusals: [replies](#replies).
        REPLIES "replies": Map<Replies>, optional "`{ fields: { family: x-ratelimit } }`";
        /// The number of counters, and the engine of those that proxies share: [store](#store).
        STORE "store": Map<Store>, optional "`{ keys_max: 100000 }`";
        /// One string for each line of Envoy's access log, `%FILTER_STATE(wasm.sluicegate:PLAIN)%`:
        /// [access_log](#access_log).
        ACCESS_LOG "access_log": Map<AccessLog>, optional "off";
        /// How much of its limits each caller uses, for a collector of metrics: [usage](#usage).
        USAGE "usage": Map<Usage>, optional "off";
    }
}

impl Policy {
    /// The keys of the limits of all kinds.
    pub(crate) const KINDS: &[&'static str] = &[
        Self::LIMITS.name,
        Self::CONCURRENCY.name,
        Self::SEATS.name,
        Self::PAYLOADS.name,
    ];
}

mapping! {
    /// The number of counters, and the engine of shared ones.
    Store "{ keys_max: 100000 }" {
        /// The counters kept at a time, over all limits of the policy; `sluicegate check` prints
        /// the memory. If more are live, the counter is evicted whose loss gains its caller least.
        KEYS_MAX "keys_max": Count32<1, 50_000_000>, default KEYS_MAX_DEFAULT;
        /// The engine of the counters that all proxies share: [engine](#engine).
        ENGINE "engine": Map<Engine>, optional "none";
    }
}

impl Store {
    /// The number of counters if the policy has no `store`.
    pub(crate) const DEFAULT: u32 = KEYS_MAX_DEFAULT;
}

const KEYS_MAX_DEFAULT: u32 = 100_000;

mapping! {
    /// The content of the access log for a request in addition to its decision, limit and tier.
    AccessLog "{ attributes: [org] }" {
        /// The attributes in the string for Envoy's access log. A credential's own attribute is an
        /// identifier, never the secret.
        ATTRIBUTES "attributes": Set<Reference, 0, ATTRIBUTES_MAX>, required;
        /// Which lines are also written in parts, each as a string of its own:
        /// `%FILTER_STATE(wasm.sluicegate.limit:PLAIN)%`, and so on. A part costs about 1 µs.
        PARTS "parts": Choice<Parts>, default Parts::Never;
    }
}
