//! Attributes that have sources: the first source with a value supplies each.

use std::borrow::Cow;

use super::address::network;
use super::audit::{Origin, Trace};
use super::credential::{self, Ambiguous};
use super::head::Request;
use super::identify::{AuthFailure, Caller, Value};
use super::issuers::IssuerSet;
use crate::base::property::Property;
use crate::host::metadata::{self, in_metadata};
use crate::policy::Policy;
use crate::policy::attributes::AttributeId;
use crate::policy::callers::Source;

/// Sets the attributes. Each may read values from the directory, so none changes before all are
/// found.
///
/// # Errors
/// [`AuthFailure::Conflicting`] if the `presented` credentials give one attribute different values,
/// and [`AuthFailure::Ambiguous`] if a header or a parameter occurs twice; neither if the caller
/// need not identify itself: then `presented` is `None`, and such a header has no value.
pub(super) fn resolve_attributes<'r>(
    caller: &mut Caller<'r>,
    presented: Option<IssuerSet>,
    request: &'r Request,
    policy: &'r Policy,
    trace: &mut impl Trace,
) -> Result<(), AuthFailure> {
    let mut found = Vec::with_capacity(policy.callers.sources.len());
    for (attribute, sources) in &policy.callers.sources {
        let reading = Reading {
            caller,
            request,
            policy,
            attribute: *attribute,
        };
        if let Some(presented) = presented {
            reading.agree(sources, presented, trace)?;
        }
        let mut first = None;
        let sources = if trace.is_contested(*attribute) {
            &[]
        } else {
            &sources[..]
        };
        for (number, source) in sources.iter().enumerate() {
            first = match reading.value(source) {
                Ok(value) => value,
                Err(Ambiguous) if presented.is_some() => {
                    trace.repeated(*attribute, number);
                    trace.refuse(AuthFailure::Ambiguous, Some(*attribute))?;
                    None
                }
                Err(Ambiguous) => None,
            };
            if let Some(value) = &first {
                trace.value(*attribute, value.bytes(), Origin::Source(number));
                break;
            }
        }
        found.push((*attribute, first));
    }
    for (attribute, value) in found {
        caller.set(attribute, value);
    }
    Ok(())
}

/// Sets the attributes from sources that need no credential. A source that occurs more than once
/// has no value.
pub(super) fn resolve_without_credentials<'r>(
    caller: &mut Caller<'r>,
    request: &'r Request,
    policy: &'r Policy,
) {
    for (attribute, sources) in &policy.callers.sources {
        let reading = Reading {
            caller,
            request,
            policy,
            attribute: *attribute,
        };
        let mut sources = sources.iter().filter(|source| !source.needs_credential());
        let value = sources.find_map(|source| reading.value(source).ok().flatten());
        caller.set(*attribute, value);
    }
}

/// One attribute, and the values of its sources.
struct Reading<'c, 'r> {
    caller: &'c Caller<'r>,
    request: &'r Request,
    policy: &'r Policy,
    attribute: AttributeId,
}

impl<'r> Reading<'_, 'r> {
    fn name(&self) -> &'r str {
        self.policy.attributes.name(self.attribute)
    }

    fn value(&self, source: &'r Source) -> Result<Option<Value<'r>>, Ambiguous> {
        let request = self.request;
        let text = match source {
            Source::Directory(from) => return Ok(self.caller.known(*from).cloned()),
            Source::Path(route) => request
                .readings()
                .find_map(|reading| route.capture(self.name(), reading.path))
                .map(Cow::Borrowed),
            Source::Metadata { path, .. } => {
                in_metadata(request.properties.of(Property::Metadata), path)
                    .and_then(metadata::Value::text)
            }
            Source::RouteMetadata(path) => {
                in_metadata(request.properties.of(Property::RouteMetadata), path)
                    .and_then(metadata::Value::text)
            }
            Source::NodeMetadata(_, value) => value.as_deref().map(Cow::Borrowed),
            Source::Query(name) => credential::parameter(request, name)?,
            Source::Cookie(name) => credential::cookie(request, name)?.map(Cow::Borrowed),
            Source::Constant(value) => Some(Cow::Borrowed(value.as_bytes())),
            Source::Header(name) => credential::header(request, name)?.map(Cow::Borrowed),
            Source::Host(pattern) => {
                let host = request.authority();
                let host = match pattern {
                    Some(pattern) => pattern.capture(self.name(), host.unwrap_or_default()),
                    None => host,
                };
                host.map(Cow::Borrowed)
            }
            Source::ClientAddress {
                v4_prefix,
                v6_prefix,
            } => {
                let address = request.properties.of(Property::SourceAddress);
                network(address, *v4_prefix, *v6_prefix)
                    .map(|network| Cow::Owned(network.into_bytes()))
            }
            Source::ClientCertificate(part) => Some(Cow::Borrowed(request.properties.of(*part))),
        };
        Ok(text.filter(|text| !text.is_empty()).map(Value::Text))
    }

    /// The directory's value (of the first of its sources that has one) and the values of all
    /// verified credentials (likewise) must be equal.
    fn agree(
        &self,
        sources: &'r [Source],
        verified: IssuerSet,
        trace: &mut impl Trace,
    ) -> Result<(), AuthFailure> {
        if !sources.iter().any(|source| verified.speak(source)) {
            return Ok(());
        }
        let mut unread = verified.and_the_directory();
        let mut agreed: Option<Value<'_>> = None;
        for (number, source) in sources.iter().enumerate() {
            if !unread.speak(source) {
                continue;
            }
            let Ok(Some(value)) = self.value(source) else {
                continue;
            };
            unread = unread.without(source);
            match &agreed {
                Some(agreed) if agreed.bytes() != value.bytes() => {
                    trace.conflict(self.attribute, value.bytes(), Origin::Source(number));
                    return trace.refuse(AuthFailure::Conflicting, Some(self.attribute));
                }
                Some(_) => {}
                None => {
                    trace.value(self.attribute, value.bytes(), Origin::Source(number));
                    agreed = Some(value);
                }
            }
        }
        Ok(())
    }
}
