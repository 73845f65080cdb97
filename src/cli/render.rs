//! `sluicegate render`: configurations for Envoy, all from one place.

use std::path::Path;

use super::{EnvoyArgs, Failure, ListenerArgs, document, envoy};
use crate::policy::Policy;
use crate::policy::document::Node;

pub(super) fn envoy(args: &EnvoyArgs) -> Result<String, Failure> {
    let (document, policy) = policy(&args.listener.policy)?;
    let listener = listener(&args.listener, &document, &policy);
    let listeners = match &args.listeners {
        Some(path) => envoy::Listeners::Watched(path),
        None => envoy::Listeners::Static(&listener),
    };
    Ok(envoy::bootstrap(&listeners, &args.upstream, &args.admin))
}

pub(super) fn listeners(args: &ListenerArgs) -> Result<String, Failure> {
    let (document, policy) = policy(&args.policy)?;
    Ok(envoy::discovery_response(&listener(args, &document, &policy)))
}

fn listener(args: &ListenerArgs, document: &Node, policy: &Policy) -> String {
    envoy::listener(&args.listen, &args.wasm, &document.to_json(), policy.access_log.is_some())
}

/// What goes to Envoy is on the standard output, so faults are on the other one.
fn policy(path: &Path) -> Result<(Node, Policy), Failure> {
    document::read(path)?.map_err(|report| {
        eprint!("{report}");
        Failure::Faults
    })
}
