//! What limits, concurrency limits, seat limits and payload limits have in common: which requests
//! one applies to, and under which keys it counts them.

use std::collections::HashMap;

use super::Context;
use super::attributes::{AttributeId, Attributes};
use super::error::Reason;
use super::exempt::ReadExemptions;
use super::reader::{Field, MapField};
use super::route::Route;
use super::select::{Condition, Selected, Selector, read_selector};
use super::tiers::ReadTiers;
use crate::limit::FailureMode;

/// The scope of a limit of any kind. A payload limit keeps no counter: it has no identity, one
/// empty key, and the defaults of the rest.
#[derive(Debug)]
pub struct Scope {
    /// Its name: in metrics, in the access log and in what callers are told.
    pub name: Box<str>,
    /// What its counters belong to. It does not contain the numbers of the rule, so that a policy
    /// that changes them keeps the counts.
    pub identity: Box<[u8]>,
    /// The requests that it applies to.
    pub selector: Selector,
    /// The parts of the key: there is one counter per combination of their values.
    pub per: Vec<KeyPart>,
    /// What it does with a caller who lacks a part of the key.
    pub absent: Absent,
    /// Its answer if the counter cannot be read.
    pub failure: FailureMode,
}

/// What a limit does with a caller who lacks a part of its key.
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
    /// What the limit's own route captured under this name.
    Capture(Box<str>),
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

pub(crate) const PER_MAX: usize = 8;
/// The name of a payload limit that has none of its own.
pub(crate) const PAYLOAD_NAME_DEFAULT: &str = "payload";

/// What kind of limit a scope belongs to, which decides the keys that it has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Limit,
    Pool,
    Seats,
    Payload,
}

/// The parts of the policy that a scope refers to.
pub(super) struct Siblings<'a> {
    pub(super) policy: Option<&'a str>,
    pub(super) tiers: &'a ReadTiers,
    pub(super) exempt: &'a ReadExemptions,
}

/// The keys of a scope as they were read; `None` for one with an error.
pub(super) struct ReadScope {
    kind: Kind,
    name: Option<Box<str>>,
    selected: Option<Selected>,
    per: Option<Vec<KeyPart>>,
    absent: Option<Absent>,
    failure: Option<FailureMode>,
}

/// Reads the keys of a scope that precede those of its kind. [`ReadScope::finish`] reads the
/// others.
pub(super) fn read(
    map: &MapField<'_>,
    kind: Kind,
    siblings: &Siblings<'_>,
    context: &mut Context,
) -> ReadScope {
    let name = match kind {
        Kind::Limit | Kind::Pool | Kind::Seats => read_name(map, context),
        Kind::Payload => read_name_or_default(map, context),
    };
    let selected = map.optional("for", Selected::all(), |field| {
        read_selector(field, siblings.tiers, context)
    });
    let (mut per, mut absent) = (Some(Vec::new()), Some(Absent::default()));
    if kind != Kind::Payload {
        if let Some(selected) = &selected {
            report_exempt(map.field(), selected, siblings);
        }
        let routes = selected.as_ref().map(|selected| &*selected.routes);
        per = map
            .require("per")
            .and_then(|field| read_per(field, routes, context));
    }
    if matches!(kind, Kind::Limit | Kind::Pool) {
        absent = map.optional("absent", Absent::default(), |field| {
            field.choice(
                "a treatment of absent parts",
                &[("count", Absent::Count), ("skip", Absent::Skip)],
            )
        });
    }
    ReadScope {
        kind,
        name,
        selected,
        per,
        absent,
        failure: Some(FailureMode::default()),
    }
}

impl ReadScope {
    /// What selects requests, and its routes.
    pub(super) fn selected(&self) -> Option<&Selected> {
        self.selected.as_ref()
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

    /// Reads the last key, and denies those that nothing has read.
    pub(super) fn finish(&mut self, map: &MapField<'_>) {
        if self.kind != Kind::Payload {
            self.failure = map.optional("failure", FailureMode::default(), |field| {
                field.choice(
                    "a failure mode",
                    &[("allow", FailureMode::Allow), ("deny", FailureMode::Deny)],
                )
            });
        }
        map.deny_unknown();
    }

    /// The scope, if none of its keys has an error. `rule` is what its counters belong to besides
    /// its name and key.
    pub(super) fn build(
        self,
        rule: &str,
        siblings: &Siblings<'_>,
        attributes: &Attributes,
    ) -> Option<Scope> {
        let (name, per) = (self.name?, self.per?);
        let identity = match self.kind {
            Kind::Limit | Kind::Pool | Kind::Seats => {
                siblings.identity(&name, rule, &per, attributes)
            }
            Kind::Payload => Box::default(),
        };
        let selector = self.selected?.selector;
        Some(Scope {
            name,
            identity,
            selector,
            per,
            absent: self.absent?,
            failure: self.failure?,
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
            };
            identity.push_str(mark);
            identity.push_str(name);
        }
        identity.into_bytes().into()
    }
}

/// A name that nothing else has.
fn read_name(map: &MapField<'_>, context: &mut Context) -> Option<Box<str>> {
    let field = map.require("name")?;
    let name = field.name()?;
    if let Some(first) = context.take_name(name, &field.at) {
        return field.refuse(Reason::Duplicate {
            value: Some(name.to_owned()),
            first,
        });
    }
    Some(name.into())
}

/// The name, which nothing else has; payload limits without one share theirs.
fn read_name_or_default(map: &MapField<'_>, context: &mut Context) -> Option<Box<str>> {
    let given = map.get("name");
    let field = given.unwrap_or(*map.field());
    let name = given.map_or(Some(PAYLOAD_NAME_DEFAULT), |field| field.name())?;
    match (context.take_name(name, &field.at), given) {
        (Some(first), Some(_)) => field.refuse(Reason::Duplicate {
            value: Some(name.to_owned()),
            first,
        }),
        (Some(first), None) if first.ends_with("/name") => field.refuse(Reason::NameNeeded {
            default: PAYLOAD_NAME_DEFAULT,
            first,
        }),
        // It is free, or another payload limit without a name has it, whose own pointer that is.
        (None, _) | (Some(_), None) => Some(name.into()),
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

/// The parts of the key; `routes` are the limit's own, `None` if they are not known.
fn read_per(
    field: Field<'_>,
    routes: Option<&[Route]>,
    context: &mut Context,
) -> Option<Vec<KeyPart>> {
    let nodes = field.list(PER_MAX)?;
    let mut seen = HashMap::new();
    let read = field.each(nodes, |field| {
        let name = field.string()?;
        if let Some(first) = seen.insert(name.to_owned(), field.at.to_string()) {
            return field.refuse(Reason::Duplicate {
                value: Some(name.to_owned()),
                first,
            });
        }
        let Some(routes) = routes else {
            return context.attributes.find(name).map(KeyPart::Attribute);
        };
        let captures = |route: &Route| route.captures().any(|capture| capture == name);
        if !routes.iter().any(captures) {
            context
                .attributes
                .resolve(&field, name)
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
    });
    (read.len() == nodes.len()).then_some(read)
}
