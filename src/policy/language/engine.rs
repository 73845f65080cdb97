//! The engine of limits that all proxies share.

use super::Constraint;
use super::formats::{Text, Timeout, Variable};
use super::key::{mapping, words};
use super::kind::{Count32, Map};

/// The most bytes of a cluster's name and of a user's.
const NAME_BYTES_MAX: usize = 128;

/// The scope of a counter.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum CounterScope {
    /// The workers of one proxy.
    Proxy,
    /// All proxies.
    Global,
}

words! {
    CounterScope, "a scope of counters" {
        /// The workers of one proxy.
        "proxy" => Self::Proxy,
        /// All proxies with this policy. Requires `store.engine`.
        "global" => Self::Global,
    }
}

/// The failure mode of a limit whose counter is unavailable.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum LimitFailure {
    /// It admits.
    Allow,
    /// It refuses.
    Deny,
    /// It counts on its own.
    Local,
}

words! {
    LimitFailure, "a failure mode of a limit" {
        /// Admit the request.
        "allow" => Self::Allow,
        /// Refuse the request with 429 and `Retry-After: 1`.
        "deny" => Self::Deny,
        /// With `scope: global`: this proxy counts on its own, with quota, burst and refill divided
        /// by `store.engine.proxies`, rounded down and at least 1.
        "local" => Self::Local,
    }
}

mapping! {
    /// The engine that keeps the counters of limits with `scope: global`: a Redis (6 or later) or a
    /// Valkey, which the filter calls through a cluster of Envoy.
    Engine "{ redis: sluicegate_engine }"
    constraints [
        Constraint::Requires {
            key: Self::USER.name,
            other: Self::PASSWORD.name,
            because: "`password`",
        },
    ]
    {
        /// The name of the Envoy cluster with the primary. `sluicegate render envoy --engine
        /// HOST:PORT` writes the cluster.
        REDIS "redis": Text<NAME_BYTES_MAX>, required;
        /// The longest time that one call takes. A request waits for two calls at most.
        TIMEOUT "timeout": Timeout, optional "50ms";
        /// The user for `AUTH`.
        USER "user": Text<NAME_BYTES_MAX>, optional "the default user";
        /// The password for `AUTH`.
        PASSWORD "password": Map<Password>, optional "none";
        /// The number of the database for `SELECT`.
        DATABASE "database": Count32<0, 1_000_000>, default 0;
        /// The number of proxies, for `failure: local` alone. No other count depends on it.
        PROXIES "proxies": Count32<1, 10_000>, default 1;
    }
}

mapping! {
    /// The source of the password, which is never part of a policy.
    Password "{ env: SLUICEGATE_ENGINE_PASSWORD }" {
        /// The variable in the environment of the plugin that contains it:
        /// `vm_config.environment_variables`.
        ENV "env": Variable, required;
    }
}
