//! `sluicegate render`: configurations for Envoy, all from one place.

use super::{EnvoyArgs, Failure, ListenerArgs, document, envoy};
use crate::policy::Policy;
use crate::policy::callers::{Place, Source};
use crate::policy::document::{Node, Value};

pub(super) fn envoy(args: &EnvoyArgs) -> Result<String, Failure> {
    let (document, policy) = document::checked(&args.listener.policy)?;
    let listener = listener(&args.listener, &document, &policy)?;
    let listeners = match &args.listeners {
        Some(path) => envoy::Listeners::Watched(path),
        None => envoy::Listeners::Static(&listener),
    };
    let told = |key: &str| args.node_metadata.iter().any(|(known, _)| known == key);
    for (name, source) in sources(&policy) {
        let Source::NodeMetadata(path, _) = source else { continue };
        match path.as_slice() {
            [key] if !told(key) => warn(&format!(
                "the policy reads {key} of the proxy's own metadata for {name}, and the proxy is not told: --node-metadata {key}=VALUE"
            )),
            [_] | [] => {}
            steps => warn(&format!(
                "the policy reads [{}] of the proxy's own metadata for {name}, which no --node-metadata says: write it into node.metadata of the bootstrap",
                steps.join(", ")
            )),
        }
    }
    Ok(envoy::bootstrap(&listeners, &args.upstream, &args.admin, &args.node_metadata))
}

pub(super) fn listeners(args: &ListenerArgs) -> Result<String, Failure> {
    let (document, policy) = document::checked(&args.policy)?;
    Ok(envoy::discovery_response(&listener(args, &document, &policy)?))
}

fn listener(args: &ListenerArgs, document: &Node, policy: &Policy) -> Result<String, Failure> {
    let filters = match &args.filters {
        Some(path) => document::told(document::filters(path)?)?,
        None => Node::new(Value::List(Vec::new()), 0),
    };
    let hold = policy.payloads.iter().any(|payload| payload.hold);
    let buffer_bytes = envoy::buffer_bytes(policy);
    let asks = envoy::Asks { decisions: policy.access_log.is_some(), hold, buffer_bytes };
    unset(args, policy).iter().for_each(|text| warn(text));
    Ok(envoy::listener(&args.listen, &args.wasm, &filters, &document.to_json(), asks))
}

/// The attributes' sources, each with the attribute's name.
fn sources(policy: &Policy) -> impl Iterator<Item = (&str, &Source)> {
    let all = policy.callers.sources.iter();
    all.flat_map(|(id, sources)| sources.iter().map(|source| (policy.attributes.name(*id), source)))
}

/// What the policy reads, and nothing in the listener sets.
fn unset(args: &ListenerArgs, policy: &Policy) -> Vec<String> {
    let mut all = Vec::new();
    if args.filters.is_none() {
        let credentials = policy.callers.credentials.iter().filter_map(|credential| match &credential.place {
            Place::Metadata(path) => Some((&*credential.name, path)),
            Place::Header { .. } | Place::Query { .. } => None,
        });
        let attributes = sources(policy).filter_map(|(name, source)| source.metadata().map(|(path, _)| (name, path)));
        all.extend(credentials.chain(attributes).map(|(name, path)| {
            let filter = path.first().map_or("", |first| first);
            format!(
                "the policy reads metadata of {filter} for {name}, and no filter before it writes any: --filters FILE"
            )
        }));
    }
    for (name, source) in sources(policy) {
        match source {
            Source::RouteMetadata(path) => all.push(format!(
                "the policy reads [{}] of the route's metadata for {name}, and the route that is written has none",
                path.join(", ")
            )),
            Source::ClientCertificate(_) => all.push(format!(
                "the policy reads the client's certificate for {name}, and the listener that is written has no TLS"
            )),
            Source::Directory(_)
            | Source::Path(_)
            | Source::Metadata { .. }
            | Source::NodeMetadata(..)
            | Source::Query(_)
            | Source::Header(_)
            | Source::Host
            | Source::ClientAddress { .. } => {}
        }
    }
    all
}

/// The standard output is Envoy's.
fn warn(text: &str) {
    eprintln!("sluicegate: warning: {text}");
}
