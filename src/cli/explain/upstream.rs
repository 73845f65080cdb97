//! The upstream's response, as far as the arguments say it: what late costs and `charge: success`
//! go by.

use super::args::ExplainArgs;
use super::host::{header, input_error};
use crate::host::headers::Headers;
use crate::limit::{Balance, Cost};
use crate::policy::Policy;
use crate::policy::limits::{ChargeWhen, CostSource, Limit};
use crate::request::checks::units;
use crate::request::head::Request;
use crate::store::memory::MemoryStore;
use crate::store::{LimitCheck, Store};

use super::host::Proxy;

/// A response that was given; `None` where no argument is about it.
#[derive(Debug)]
pub(super) struct Upstream {
    pub(super) status: Option<u32>,
    headers: Headers,
}

/// What becomes of one charge once the response has arrived.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Settled {
    /// The units that the request turns out to cost; `None` where that is not known.
    pub(super) cost: Option<u64>,
    /// They are refunded, or never charged: the response is a failure.
    pub(super) refunded: bool,
}

impl Upstream {
    pub(super) fn of(args: &ExplainArgs) -> Result<Option<Self>, String> {
        if args.status.is_none() && args.response_headers.is_empty() {
            return Ok(None);
        }
        let mut pairs = Vec::new();
        for (number, text) in (1..).zip(&args.response_headers) {
            pairs.push(header(text).map_err(|why| input_error("--response-header", number, why))?);
        }
        let pairs: Vec<(&str, &[u8])> = pairs
            .iter()
            .map(|(name, value)| (&**name, value.as_bytes()))
            .collect();
        Ok(Some(Self {
            status: args.status,
            headers: Headers::new(Headers::encode(&pairs)),
        }))
    }

    /// Whether it says that the request failed, as the filter reads it.
    fn is_failure(&self, request: &Request) -> bool {
        let grpc = request.is_grpc()
            && self
                .headers
                .first("grpc-status")
                .is_some_and(|status| status != b"0");
        grpc || self.status.is_some_and(|status| status >= 400)
    }

    /// The units that it says under this name.
    fn units(&self, name: &str) -> u64 {
        units(self.headers.all(name))
    }
}

/// Settles the charge of a check of a request that was admitted. Returns the counter after that, if
/// it changed.
pub(super) fn settle(
    store: &mut MemoryStore,
    proxy: &Proxy,
    policy: &Policy,
    request: &Request,
    check: &LimitCheck,
) -> (Settled, Option<Balance>) {
    let Some(limit) = policy.limit(check.owner) else {
        return (Settled::default(), None);
    };
    let settled = Settled {
        cost: cost(proxy, limit, check),
        refunded: fails(proxy, limit, request),
    };
    let balance = match (check.cost, &check.charge, settled.refunded) {
        (Cost::Later, _, false) => {
            // What is not known counts as one unit here.
            let units = settled.cost.unwrap_or(1);
            let charged =
                (units > 0).then(|| store.force_charge(&check.key, &check.rule, units, proxy));
            charged
                .and_then(Result::ok)
                .map(|(reading, _)| reading.balance)
        }
        (Cost::Now(_), Some(charge), true) => store
            .refund(&check.key, &check.rule, charge, proxy)
            .ok()
            .map(|reading| reading.balance),
        (Cost::Later | Cost::Now(_), _, _) => None,
    };
    (settled, balance)
}

/// The balance of a limit, without taking anything.
pub(super) fn look(store: &mut MemoryStore, proxy: &Proxy, check: &LimitCheck) -> Balance {
    let mut look = check.clone();
    look.cost = Cost::Now(0);
    store.try_charge_all(std::slice::from_mut(&mut look), proxy.now, proxy);
    super::outcome::balance(&look)
}

fn fails(proxy: &Proxy, limit: &Limit, request: &Request) -> bool {
    limit.charge == ChargeWhen::Success
        && proxy
            .upstream
            .as_ref()
            .is_some_and(|upstream| upstream.is_failure(request))
}

fn cost(proxy: &Proxy, limit: &Limit, check: &LimitCheck) -> Option<u64> {
    match (check.cost, &limit.cost, &proxy.upstream) {
        (Cost::Now(units), ..) => Some(units),
        (Cost::Later, CostSource::ResponseHeader(name), Some(upstream)) => {
            Some(upstream.units(name))
        }
        (Cost::Later, ..) => None,
    }
}
