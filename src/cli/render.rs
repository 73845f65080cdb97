//! `sluicegate render`: configurations for Envoy.

use std::path::Path;

use super::document::ReadPolicy;
use super::envoy::{Address, Configuration, Filter, FilterSource};
use super::yaml::{indented, indented_tail};
use super::{EnvoyArgs, ExtensionArgs, Failure, ListenerArgs, document, envoy};
use crate::base::invariant::invariant;
use crate::policy::Policy;
use crate::policy::callers::{Place, Source};
use crate::policy::document::{Node, Value};
use crate::policy::packed::Packed;
use crate::policy::usage::Target;

pub(super) fn envoy(args: &EnvoyArgs) -> Result<String, Failure> {
    let ReadPolicy {
        document, policy, ..
    } = document::read_valid(&args.listener.policy, &args.listener.directory)?;
    let listeners = all_listeners(&args.listener, &document, &policy)?;
    let engine = engine(args, &policy)?;
    let collector = args.listener.otlp.as_ref();
    let sink = collector
        .filter(|_| !args.no_otlp_metrics)
        .map(|address| envoy::audit::stats_sink(address, &policy))
        .unwrap_or_default();
    let collector = collector.map(|address| envoy::audit::cluster(address, &policy));
    let mut clusters = engine + &collector.unwrap_or_default();
    if let Some(warning) = absent_cluster(args, &policy) {
        warn(&warning);
    }
    let metrics = args.metrics.as_ref();
    if metrics.is_some() {
        clusters.push_str(&envoy::metrics::cluster(&args.admin));
    }
    let listeners = match &args.listeners {
        Some(path) => envoy::Listeners::Watched(path),
        None => envoy::Listeners::Static(&listeners),
    };
    for (name, source) in sources(&policy) {
        let Source::NodeMetadata(path, _) = source else {
            continue;
        };
        match path.as_slice() {
            [key] if args.node_metadata.iter().all(|(set, _)| **set != **key) => warn(&format!(
                "the policy reads {key} from the proxy's metadata for {name}, which is not set: \
                 add --node-metadata {key}=VALUE"
            )),
            [_] | [] => {}
            steps => warn(&format!(
                "the policy reads [{}] from the proxy's metadata for {name}, which --node-metadata \
                 cannot set: write it into node.metadata of the bootstrap",
                steps.join(", ")
            )),
        }
    }
    Ok(envoy::bootstrap(
        &listeners,
        metrics.map(envoy::metrics::listener),
        &args.upstream,
        &args.admin,
        &args.node_metadata,
        (&envoy::labels(&policy), &sink, &clusters),
    ))
}

/// A warning about a cluster for usage that the bootstrap does not have.
fn absent_cluster(args: &EnvoyArgs, policy: &Policy) -> Option<String> {
    match &policy.usage.as_ref()?.to {
        Target::Otlp { cluster, .. } if args.listener.otlp.is_none() => Some(format!(
            "the policy sends usage to the cluster {cluster}, which this configuration does not \
             have: add --otlp HOST:PORT"
        )),
        Target::CloudEvents { cluster } => Some(format!(
            "the policy sends usage to the cluster {cluster}, which this configuration does not \
             have: add it to static_resources.clusters"
        )),
        Target::Otlp { .. } | Target::Stats => None,
    }
}

/// The cluster of the policy's engine; empty if it has none.
fn engine(args: &EnvoyArgs, policy: &Policy) -> Result<String, Failure> {
    let own = [
        envoy::UPSTREAM,
        envoy::audit::collector(policy).0,
        envoy::metrics::ADMIN,
    ];
    let engine = policy.engine.as_ref().map(|engine| &*engine.cluster);
    if let Some(name) = own.into_iter().find(|name| Some(*name) == engine) {
        return Err(Failure::Usage(format!(
            "/store/engine/redis: \"{name}\" is the name of another cluster here; choose another"
        )));
    }
    let cluster = args.engine.cluster(policy)?;
    Ok(cluster.map_or_else(String::new, |cluster| {
        let item = format!(
            "# The counters that all proxies share. The filter speaks to Redis itself, so this \
             cluster is TCP.\n- {}",
            indented_tail(&cluster)
        );
        indented(&item, 4)
    }))
}

pub(super) fn listeners(args: &ListenerArgs) -> Result<String, Failure> {
    let ReadPolicy {
        document, policy, ..
    } = document::read_valid(&args.policy, &args.directory)?;
    let listeners = all_listeners(args, &document, &policy)?;
    Ok(envoy::discovery_response(&listeners))
}

/// The gateway's listener, and that of operators if there is one.
fn all_listeners(
    args: &ListenerArgs,
    document: &Node,
    policy: &Policy,
) -> Result<Vec<String>, Failure> {
    let filters = match &args.filters {
        Some(path) => document::or_report(document::filters(path)?)?,
        None => Node::new(Value::List(Vec::new()), 0),
    };
    let collector = args.otlp.as_ref();
    let needs = envoy::ListenerNeeds {
        log: policy.access_log.as_ref().map(|_| policy),
        audit: collector.map(|collector| envoy::audit::logger(collector, policy)),
        buffer_bytes: envoy::buffer_bytes(policy),
    };
    for warning in unset(args, policy) {
        warn(&warning);
    }
    let configuration = configuration(document, policy, collector);
    let filter = match (&args.extension, &args.wasm) {
        (Some(extension), _) => FilterSource::Watched(extension),
        (None, Some(wasm)) => FilterSource::Inline(filter(wasm, configuration, policy)),
        (None, None) => {
            let missing = "add --wasm FILE, or --extension FILE".to_owned();
            return Err(Failure::Usage(missing));
        }
    };
    let gateway = envoy::listener(&args.listen, &filters, &filter, &needs);
    let operator = args.inspect.as_ref();
    let operator = operator.map(|address| envoy::operator::listener(address, &filter, &needs));
    Ok(std::iter::once(gateway).chain(operator).collect())
}

pub(super) fn extension(args: &ExtensionArgs) -> Result<String, Failure> {
    let ReadPolicy {
        document, policy, ..
    } = document::read_valid(&args.policy, &args.directory)?;
    let configuration = configuration(&document, &policy, args.otlp.as_ref());
    Ok(filter(&args.wasm, configuration, &policy).discovery_response())
}

/// The policy for the filter, with the settings for the audit log.
fn configuration(document: &Node, policy: &Policy, collector: Option<&Address>) -> Configuration {
    let audited = collector.map(|_| {
        let audited = envoy::audit::audited(document, policy);
        envoy::audit::measured(audited, policy)
    });
    let document = audited.as_ref().unwrap_or(document);
    match Packed::of(document, policy) {
        Some(Packed { json, bytes }) => Configuration::Packed(json, bytes),
        None => Configuration::Json(document.to_json()),
    }
}

fn filter<'a>(wasm: &'a Path, configuration: Configuration, policy: &'a Policy) -> Filter<'a> {
    let engine = policy.engine.as_ref();
    Filter {
        wasm,
        policy: configuration,
        hold: policy.payloads.iter().any(|payload| payload.hold),
        password: engine.and_then(|engine| engine.password.as_deref()),
    }
}

/// All sources of attributes, each with the name of its attribute.
fn sources(policy: &Policy) -> impl Iterator<Item = (&str, &Source)> {
    let all = policy.callers.sources.iter();
    all.flat_map(|(id, sources)| {
        sources
            .iter()
            .map(|source| (policy.attributes.name(*id), source))
    })
}

/// Warnings about inputs of the policy that nothing in the listener sets.
fn unset(args: &ListenerArgs, policy: &Policy) -> Vec<String> {
    let mut all = Vec::new();
    if args.filters.is_none() {
        let credentials =
            policy
                .callers
                .credentials
                .iter()
                .filter_map(|credential| match &credential.place {
                    Place::Metadata(path) => Some((&*credential.name, path)),
                    Place::Header { .. } | Place::Query { .. } | Place::Cookie { .. } => None,
                });
        let attributes = sources(policy)
            .filter_map(|(name, source)| source.metadata().map(|(path, _)| (name, path)));
        all.extend(credentials.chain(attributes).filter_map(|(name, path)| {
            let filter = invariant(path.first(), "a path in metadata begins with a namespace")?;
            Some(format!(
                "the policy reads metadata of {filter} for {name}, which no earlier filter writes: \
                 add --filters FILE"
            ))
        }));
    }
    for (name, source) in sources(policy) {
        match source {
            Source::RouteMetadata(path) => all.push(format!(
                "the policy reads [{}] from the route's metadata for {name}, but the rendered \
                 route has none",
                path.join(", ")
            )),
            Source::ClientCertificate(_) => all.push(format!(
                "the policy reads the client's certificate for {name}, but the rendered listener \
                 has no TLS"
            )),
            Source::Directory(_)
            | Source::Path(_)
            | Source::Metadata { .. }
            | Source::NodeMetadata(..)
            | Source::Query(_)
            | Source::Cookie(_)
            | Source::Constant(_)
            | Source::Header(_)
            | Source::Host(_)
            | Source::ClientAddress { .. } => {}
        }
    }
    all
}

/// Prints to standard error, since standard output is Envoy's configuration.
fn warn(text: &str) {
    eprintln!("sluicegate: warning: {text}");
}
