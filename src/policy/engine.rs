//! The engine of the limits that all proxies share.

use super::error::Reason;
use super::language as lang;
use super::limits::Limit;
use super::reader::{Field, MapField};
use crate::base::time::Span;
use crate::limit::FailureMode;

/// How the engine is called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Engine {
    /// The name of Envoy's cluster.
    pub cluster: Box<str>,
    /// The longest time that one call takes.
    pub timeout: Span,
    /// The user for `AUTH`; `None` for the default one.
    pub user: Option<Box<str>>,
    /// The environment variable that contains the password; `None` without `AUTH`.
    pub password: Option<Box<str>>,
    /// The database for `SELECT`; zero is the engine's own default.
    pub database: u32,
    /// The number of proxies that share the limits, as far as the operator states it.
    pub proxies: u32,
}

/// How a limit with counters that all proxies share continues without the engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shared {
    /// Whether this proxy counts on its own then.
    pub falls_back: bool,
}

/// The timeout of a call, if the policy does not state one.
const TIMEOUT: Span = Span::from_nanos(50_000_000);

/// The number of counters, and the engine.
type Store = (u32, Option<Engine>);

/// Whether `store` has an engine, even one with errors.
pub(super) fn is_stated(map: &MapField<'_, lang::Policy>) -> bool {
    let store = map.value(lang::Policy::STORE);
    store.is_some_and(|store| store.node.value.get(lang::Store::ENGINE.name).is_some())
}

/// Reads `store`.
pub(super) fn read_store(map: &MapField<'_, lang::Store>) -> Option<Store> {
    let keys_max = map.read(lang::Store::KEYS_MAX);
    let engine = map.read_with(lang::Store::ENGINE, |_, map| read(&map));
    map.finish();
    Some((keys_max?, engine?))
}

/// The parts of `store`, which may be absent, that the limits use.
pub(super) fn used(store: Option<Store>, limits: &[Limit]) -> Store {
    let (keys_max, engine) = store.unwrap_or((lang::Store::DEFAULT, None));
    let is_shared = limits.iter().any(|limit| limit.shared.is_some());
    (keys_max, engine.filter(|_| is_shared))
}

fn read(map: &MapField<'_, lang::Engine>) -> Option<Engine> {
    let cluster = map.read(lang::Engine::REDIS);
    let timeout = map.read(lang::Engine::TIMEOUT);
    let user = map.read(lang::Engine::USER);
    let password = map.read_with(lang::Engine::PASSWORD, |_, map| {
        let variable = map.read(lang::Password::ENV);
        map.finish();
        variable.map(Box::from)
    });
    let database = map.read(lang::Engine::DATABASE);
    let proxies = map.read(lang::Engine::PROXIES);
    map.finish();
    Some(Engine {
        cluster: cluster?.into(),
        timeout: timeout?.unwrap_or(TIMEOUT),
        user: user?.map(Box::from),
        password: password?,
        database: database?,
        proxies: proxies?,
    })
}

/// The scope of the counters of a limit, and the failure mode if they are unavailable.
pub(super) fn read_shared(
    map: &MapField<'_, lang::Limit>,
    has_engine: bool,
) -> Option<(Option<Shared>, FailureMode)> {
    let scope = map.read(lang::Limit::SCOPE);
    let failure = map.read(lang::Limit::FAILURE);
    let requires = |field: Option<Field<'_>>, sibling| {
        if let Some(field) = field {
            field.error(Reason::RequiresSibling { sibling });
        }
    };
    if scope == Some(lang::CounterScope::Global) && !has_engine {
        requires(map.value(lang::Limit::SCOPE), "`store.engine`");
    }
    if scope == Some(lang::CounterScope::Proxy) && failure == Some(lang::LimitFailure::Local) {
        requires(map.value(lang::Limit::FAILURE), "`scope: global`");
    }
    let falls_back = failure? == lang::LimitFailure::Local;
    let shared = match scope? {
        lang::CounterScope::Proxy => None,
        lang::CounterScope::Global => Some(Shared { falls_back }),
    };
    let failure = match failure? {
        lang::LimitFailure::Allow => FailureMode::Allow,
        // Without even its own counter it cannot admit anything for certain.
        lang::LimitFailure::Deny | lang::LimitFailure::Local => FailureMode::Deny,
    };
    Some((shared, failure))
}
