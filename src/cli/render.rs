//! `sluicegate render`: configurations for Envoy, all from one place.

use super::{EnvoyArgs, Failure, ListenerArgs, document, envoy};
use crate::policy::Policy;
use crate::policy::document::{Node, Value};

pub(super) fn envoy(args: &EnvoyArgs) -> Result<String, Failure> {
    let (document, policy) = document::checked(&args.listener.policy)?;
    let listener = listener(&args.listener, &document, &policy)?;
    let listeners = match &args.listeners {
        Some(path) => envoy::Listeners::Watched(path),
        None => envoy::Listeners::Static(&listener),
    };
    Ok(envoy::bootstrap(&listeners, &args.upstream, &args.admin, &args.node_metadata))
}

pub(super) fn listeners(args: &ListenerArgs) -> Result<String, Failure> {
    let (document, policy) = document::checked(&args.policy)?;
    Ok(envoy::discovery_response(&listener(args, &document, &policy)?))
}

fn listener(args: &ListenerArgs, document: &Node, policy: &Policy) -> Result<String, Failure> {
    let filters = match &args.filters {
        Some(path) => document::told(document::filters(path)?)?,
        None => Node { value: Value::List(Vec::new()), line: 0 },
    };
    let hold = policy.payloads.iter().any(|payload| payload.hold);
    let asks = envoy::Asks { decisions: policy.access_log.is_some(), hold };
    Ok(envoy::listener(&args.listen, &args.wasm, &filters, &document.to_json(), asks))
}
