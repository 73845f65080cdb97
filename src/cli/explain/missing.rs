//! Inputs that the policy reads of a caller and the arguments lack: with them the explanation may
//! differ.

use std::collections::BTreeMap;

use super::explanation::Missing;
use super::host::Proxy;
use super::recorder::Recorder;
use crate::base::property::Property;
use crate::policy::Policy;
use crate::policy::attributes::AttributeId;
use crate::policy::callers::source::certificate_parts;
use crate::policy::callers::{AUTHORITY, Place, Source};
use crate::policy::scope::{KeyPart, KeyWord};
use crate::request::audit::Origin;
use crate::request::identify::Caller;

/// For each option: its input, and the attributes that read it.
pub(super) fn missing(
    policy: &Policy,
    proxy: &Proxy,
    record: &Recorder,
    caller: &Caller<'_>,
    asked: bool,
) -> Vec<Missing> {
    let mut all: BTreeMap<String, Missing> = BTreeMap::new();
    let credentials = policy.callers.credentials.iter().filter(|_| asked);
    for credential in
        credentials.filter(|credential| matches!(credential.place, Place::Metadata(_)))
    {
        if !proxy.knows(Property::Metadata) {
            add(&mut all, "--metadata".to_owned(), &credential.name);
        }
    }
    for (attribute, sources) in &policy.callers.sources {
        let asked_before =
            sources
                .iter()
                .take(sources_asked(record, caller, *attribute, sources.len()));
        for option in asked_before.filter_map(|source| option(proxy, source)) {
            add(&mut all, option, policy.attributes.name(*attribute));
        }
    }
    if is_keyed_by_host(policy) && !proxy.has_header(AUTHORITY) {
        add(&mut all, HOST_OPTION.to_owned(), KeyWord::Host.name());
    }
    if policy.selects_by_address() && !proxy.knows(Property::SourceAddress) {
        add(&mut all, "--address".to_owned(), "client_address");
    }
    all.into_values().collect()
}

/// The option that gives the host.
const HOST_OPTION: &str = "--header 'Host: …'";

/// Whether some key has the host in it.
fn is_keyed_by_host(policy: &Policy) -> bool {
    let limits = policy.limits.iter().map(|limit| &limit.scope);
    let pools = policy.pools.iter().map(|pool| &pool.scope);
    let seats = policy.seats.iter().map(|seats| &seats.scope);
    let mut parts = limits
        .chain(pools)
        .chain(seats)
        .flat_map(|scope| &scope.per);
    parts.any(|part| *part == KeyPart::Word(KeyWord::Host))
}

fn add(all: &mut BTreeMap<String, Missing>, option: String, name: &str) {
    let entry = all.entry(option.clone()).or_insert_with(|| Missing {
        option,
        names: Vec::new(),
    });
    if !entry.names.iter().any(|known| known == name) {
        entry.names.push(name.to_owned());
    }
}

/// The options that would supply this attribute, in brackets; empty if it was given.
pub(super) fn given_by(name: &str, not_given: &[Missing]) -> String {
    let of_it = not_given
        .iter()
        .filter(|missing| missing.names.iter().any(|known| known == name));
    // A header is the request's own word.
    let options = of_it
        .map(|missing| &*missing.option)
        .filter(|option| !option.starts_with("--header"));
    let options: Vec<&str> = options.collect();
    if options.is_empty() {
        String::new()
    } else {
        format!(" (not given: {})", options.join(", "))
    }
}

/// How many sources were asked before one had a value.
fn sources_asked(
    record: &Recorder,
    caller: &Caller<'_>,
    attribute: AttributeId,
    all: usize,
) -> usize {
    match record.values.get(&attribute).map(|found| found.origin) {
        Some(Origin::Source(number)) if caller.value(attribute).is_some() => number,
        Some(_) | None => all,
    }
}

/// The option that would supply the value of a source; `None` if it was given, or the request
/// itself has it.
fn option(proxy: &Proxy, source: &Source) -> Option<String> {
    let unknown =
        |property: Property, option: &str| (!proxy.knows(property)).then(|| option.to_owned());
    match source {
        Source::Metadata { .. } => unknown(Property::Metadata, "--metadata"),
        Source::RouteMetadata(_) => unknown(Property::RouteMetadata, "--route-metadata"),
        Source::NodeMetadata(..) => unknown(Property::Node, "--node-metadata"),
        Source::ClientAddress { .. } => unknown(Property::SourceAddress, "--address"),
        Source::ClientCertificate(part) => {
            let name = certificate_parts()
                .find(|(_, known)| known == part)
                .map_or("", |(name, _)| name);
            unknown(*part, &format!("--certificate {name}=…"))
        }
        // Something before the filter sets it.
        Source::Header(name) => (!proxy.has_header(name)).then(|| format!("--header '{name}: …'")),
        Source::Host(_) => (!proxy.has_header(AUTHORITY)).then(|| HOST_OPTION.to_owned()),
        Source::Directory(_)
        | Source::Path(_)
        | Source::Query(_)
        | Source::Cookie(_)
        | Source::Constant(_) => None,
    }
}
