//! The common part of limits, concurrency limits, seat limits and payload limits: the requests to
//! which one applies, and the keys under which it counts them.

use std::collections::HashMap;

use super::Context;
use super::attributes::{AttributeId, Attributes, PRESENTED};
use super::error::{Reason, RefusedRule};
use super::exempt::ReadExemptions;
use super::language as lang;
use super::reader::{Field, MapField, UniqueItems};
use super::replies::SharedTypes;
use super::route::Route;
use super::select::{Condition, Selected, Selector, read_selector};
use super::tiers::ReadTiers;
use crate::limit::FailureMode;

/// The scope of a limit of any kind. A payload limit keeps no counter: it has no identity, one
/// empty key, and the defaults of the rest.
#[derive(Debug)]
pub struct Scope {
    /// Its name: in metrics, in the access log and in responses.
    pub name: Box<str>,
    /// Its name for people.
    pub label: Box<str>,
    /// The identity of its counters. It does not contain the numbers of the rule, so that a policy
    /// that changes them keeps the counts.
    pub identity: Box<[u8]>,
    /// The requests that it applies to.
    pub selector: Selector,
    /// The parts of the key: there is one counter per combination of their values.
    pub per: Vec<KeyPart>,
    /// The treatment of a caller that lacks a part of the key.
    pub absent: Absent,
    /// Its answer if the counter cannot be read.
    pub failure: FailureMode,
}

/// The treatment of a caller that lacks a part of a limit's key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Absent {
    /// It counts all such callers together.
    #[default]
    Count,
    /// It does not apply.
    Skip,
}

/// One part of a counter's key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyPart {
    /// An attribute of the caller.
    Attribute(AttributeId),
    /// The text that the limit's own route captured under this name.
    Capture(Box<str>),
    /// A property of the request.
    Word(KeyWord),
}

/// A property of a request that has a word in `per`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyWord {
    /// The route, as written, by which the limit applies.
    Route,
    /// The method.
    Method,
    /// The name of the tier.
    Tier,
    /// The authority.
    Host,
}

impl KeyPart {
    /// As it is written in `per`.
    #[must_use]
    pub fn name<'p>(&'p self, attributes: &'p Attributes) -> &'p str {
        match self {
            Self::Attribute(attribute) => attributes.name(*attribute),
            Self::Capture(name) => name,
            Self::Word(word) => word.name(),
        }
    }
}

impl KeyWord {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Route, Self::Method, Self::Tier, Self::Host];

    /// As it is written in `per`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Route => "route",
            Self::Method => "method",
            Self::Tier => "tier",
            Self::Host => "host",
        }
    }
}

impl Scope {
    /// Whether a key follows from the caller alone.
    #[must_use]
    pub fn is_keyed_by_caller(&self) -> bool {
        self.per
            .iter()
            .all(|part| matches!(part, KeyPart::Attribute(_)))
    }
}

/// The parts of the policy that a scope refers to.
pub(super) struct Siblings<'a> {
    pub(super) policy: Option<&'a str>,
    pub(super) tiers: &'a ReadTiers,
    pub(super) exempt: &'a ReadExemptions,
    /// Whether the policy has an engine for counters that proxies share.
    pub(super) has_engine: bool,
    /// Whether the answers of the policy state the types of bodies.
    pub(super) types: SharedTypes,
}

/// The keys of a scope; `None` for one with an error.
pub(super) struct Keys<'m> {
    /// The name and its place.
    pub(super) name: Option<(Field<'m>, &'m str)>,
    /// The name for people, if it is present.
    pub(super) label: Option<Option<&'m str>>,
    /// The content of `for`, if it is present.
    pub(super) selector: Option<Option<MapField<'m, lang::Selector>>>,
    /// Whether it may be for refused credentials.
    pub(super) allows_refused: bool,
    /// The names of the parts of the key.
    pub(super) per: Option<UniqueItems<'m, lang::Reference>>,
}

/// The keys of a scope as they were read; `None` for one with an error.
pub(super) struct ReadScope {
    name: Option<Box<str>>,
    label: Option<Option<Box<str>>>,
    selected: Option<Selected>,
    per: Option<Vec<KeyPart>>,
}

/// Reads the keys of the scope at `limit`.
pub(super) fn read(
    limit: &Field<'_>,
    keys: Keys<'_>,
    siblings: &Siblings<'_>,
    context: &mut Context,
) -> ReadScope {
    let name = keys
        .name
        .and_then(|(field, name)| read_name(&field, name, context));
    let selected = read_for(keys.selector, siblings, context, keys.allows_refused);
    if let Some(selected) = &selected {
        report_exempt(limit, selected, siblings);
    }
    let routes = selected.as_ref().map(|selected| KeyedRoutes {
        own: &selected.routes,
        has_tiers: !siblings.tiers.is_empty(),
        is_refused: selected.selector.refused,
    });
    let per = keys.per.and_then(|names| read_per(&names, routes, context));
    ReadScope {
        name,
        label: keys.label.map(|label| label.map(Box::from)),
        selected,
        per,
    }
}

/// The requests that `for` selects: all if it is absent.
pub(super) fn read_for(
    selector: Option<Option<MapField<'_, lang::Selector>>>,
    siblings: &Siblings<'_>,
    context: &mut Context,
    allows_refused: bool,
) -> Option<Selected> {
    match selector? {
        Some(map) => read_selector(&map, siblings.tiers, context, allows_refused),
        None => Some(Selected::all()),
    }
}

impl ReadScope {
    /// Whether it is for refused credentials.
    pub(super) fn is_for_refused(&self) -> bool {
        self.selected
            .as_ref()
            .is_some_and(|selected| selected.selector.refused)
    }

    /// The conditions on attributes; none if there is an error in them.
    pub(super) fn conditions(&self) -> &[Condition] {
        self.selected
            .as_ref()
            .map_or(&[], |selected| &selected.selector.attributes)
    }

    /// The parts of the key.
    pub(super) fn per(&self) -> Option<&[KeyPart]> {
        self.per.as_deref()
    }

    /// The scope, if none of its keys has an error. `rule` is a part of the identity of its
    /// counters in addition to its name and key.
    pub(super) fn build(
        self,
        rule: &str,
        (absent, failure): (Option<Absent>, Option<FailureMode>),
        siblings: &Siblings<'_>,
        attributes: &Attributes,
    ) -> Option<Scope> {
        let (name, label, per) = (self.name?, self.label?, self.per?);
        Some(Scope {
            identity: siblings.identity(&name, rule, &per, attributes),
            label: label.unwrap_or_else(|| name.clone()),
            name,
            selector: self.selected?.selector,
            per,
            absent: absent?,
            failure: failure?,
        })
    }
}

impl Siblings<'_> {
    /// Policy, limit, rule and key; a NUL cannot be in a name.
    fn identity(
        &self,
        name: &str,
        rule: &str,
        per: &[KeyPart],
        attributes: &Attributes,
    ) -> Box<[u8]> {
        let mut identity = [self.policy.unwrap_or_default(), name, rule].join("\0");
        for part in per {
            let (mark, name) = match part {
                KeyPart::Attribute(id) => ("\0=", attributes.name(*id)),
                KeyPart::Capture(name) => ("\0{", &**name),
                KeyPart::Word(word) => ("\0:", word.name()),
            };
            identity.push_str(mark);
            identity.push_str(name);
        }
        identity.into_bytes().into()
    }
}

/// A name that nothing else has.
fn read_name(field: &Field<'_>, name: &str, context: &mut Context) -> Option<Box<str>> {
    match context.take_name(name, &field.at) {
        Some(first) => field.refuse(Reason::Duplicate {
            value: Some(name.to_owned()),
            first,
        }),
        None => Some(name.into()),
    }
}

/// The name of the payload limit `map`, which no other kind of limit has; payload limits without
/// one share the default.
pub(super) fn read_payload_name(
    map: &MapField<'_, lang::Payload>,
    context: &mut Context,
) -> Option<Box<str>> {
    let name = map.read(lang::Payload::NAME)?;
    if let Some(field) = map.value(lang::Payload::NAME) {
        return read_name(&field, name, context);
    }
    match context.take_name(name, &map.field().at) {
        Some(first) if first.ends_with("/name") => map.field().refuse(Reason::NameNeeded {
            default: lang::Payload::NAME_DEFAULT,
            first,
        }),
        // It is free, or it is the pointer of another payload limit without a name.
        Some(_) | None => Some(name.into()),
    }
}

/// Reports a scope all of whose requests are exempt.
fn report_exempt(field: &Field<'_>, selected: &Selected, siblings: &Siblings<'_>) {
    if let Some(by) = siblings
        .exempt
        .takes(selected.routes_or_those_of(siblings.tiers).into_iter())
    {
        field.error(Reason::NeverReached { by });
    }
}

/// The routes whose captures may be parts of a key.
#[derive(Clone, Copy)]
struct KeyedRoutes<'a> {
    /// The limit's own routes.
    own: &'a [Route],
    /// Whether the policy has tiers.
    has_tiers: bool,
    /// Whether the limit is for refused credentials.
    is_refused: bool,
}

/// The parts of the key; `routes` is `None` if they are not known.
fn read_per(
    names: &UniqueItems<'_, lang::Reference>,
    routes: Option<KeyedRoutes<'_>>,
    context: &mut Context,
) -> Option<Vec<KeyPart>> {
    let mut seen = HashMap::new();
    names.0.each(|field, name| {
        if let Some(first) = seen.insert(name.to_owned(), field.at.to_string()) {
            return field.refuse(Reason::Duplicate {
                value: Some(name.to_owned()),
                first,
            });
        }
        let part = read_part(&field, name, routes, context)?;
        match &part {
            KeyPart::Attribute(id)
                if routes.is_some_and(|routes| routes.is_refused)
                    && !context.attributes.is_free(*id) =>
            {
                field.refuse(Reason::Refused(RefusedRule::NeedsCredential(
                    name.to_owned(),
                )))
            }
            KeyPart::Attribute(_) | KeyPart::Capture(_) | KeyPart::Word(_) => Some(part),
        }
    })
}

fn read_part(
    field: &Field<'_>,
    name: &str,
    routes: Option<KeyedRoutes<'_>>,
    context: &mut Context,
) -> Option<KeyPart> {
    let word = KeyWord::ALL.into_iter().find(|word| word.name() == name);
    let Some(KeyedRoutes {
        own: routes,
        has_tiers,
        is_refused,
    }) = routes
    else {
        let attribute = context.attributes.find(name).map(KeyPart::Attribute);
        return attribute.or(word.map(KeyPart::Word));
    };
    let captures = |route: &Route| route.captures().any(|capture| capture == name);
    if name == PRESENTED && is_refused {
        context
            .attributes
            .resolve_presented(field)
            .map(KeyPart::Attribute)
    } else if let Some(word) = word {
        let has_value = match word {
            KeyWord::Route => has_tiers || !routes.is_empty(),
            KeyWord::Tier => has_tiers,
            KeyWord::Method | KeyWord::Host => true,
        };
        if routes.iter().any(captures) {
            field.refuse(Reason::CaptureIsAttribute {
                name: name.to_owned(),
            })
        } else if has_value {
            Some(KeyPart::Word(word))
        } else {
            field.refuse(Reason::NothingToKeyBy(word.name()))
        }
    } else if !routes.iter().any(captures) {
        context
            .attributes
            .resolve(field, name)
            .map(KeyPart::Attribute)
    } else if context.attributes.find(name).is_some() {
        field.refuse(Reason::CaptureIsAttribute {
            name: name.to_owned(),
        })
    } else if routes.iter().all(captures) {
        Some(KeyPart::Capture(name.into()))
    } else {
        field.refuse(Reason::NoCapture {
            name: name.to_owned(),
        })
    }
}
