//! The header fields that show callers the state of their limits.

use super::answer::compile;
use crate::base::id::{Id as _, LimitId, PoolId};
use crate::policy::attributes::Attributes;
use crate::policy::error::Reason;
use crate::policy::language::{self as lang, Family, With};
use crate::policy::limits::Limit;
use crate::policy::pools::PoolLimit;
use crate::policy::reader::{Field, MapField};
use crate::policy::template::{Placeholder, Template};

/// Which header fields state a caller's limits, and when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fields {
    /// The `X-RateLimit-*` fields; `None` for none of them.
    pub x_ratelimit: Option<XRateLimit>,
    /// Whether `RateLimit` and `RateLimit-Policy` are sent.
    pub ietf: bool,
    /// On which responses the fields of the family are sent.
    pub when: When,
    /// The policy's own fields, each with a name that no other has.
    pub write: Vec<Written>,
}

/// A field of the policy's own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Written {
    /// The name, in lower case.
    pub name: Box<str>,
    /// Its values: the first that there is counts.
    pub values: Vec<WrittenValue>,
}

/// One value of a field of the policy's own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WrittenValue {
    /// The limits and pools whose numbers it shows; empty for the limit that `X-RateLimit-*` shows.
    pub of: Vec<Of>,
    /// The value.
    pub value: Template,
    /// On which responses it is sent.
    pub when: When,
}

/// A scope whose numbers a field can show.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Of {
    /// A limit.
    Limit(LimitId),
    /// A pool.
    Pool(PoolId),
}

/// How the `X-RateLimit-*` fields look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct XRateLimit {
    /// The form of the time at which the limit is full again.
    pub reset: Reset,
    /// Whether there is one for the window's length.
    pub period: bool,
    /// Whether there is one for the limit's name.
    pub name: bool,
}

/// The form of a time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Reset {
    /// Seconds from now.
    #[default]
    Seconds,
    /// The Unix second.
    UnixSeconds,
    /// The seconds of `Retry-After`, and only with that field.
    RetryAfter,
}

/// The responses that have the fields.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum When {
    /// On each that a limit applied to.
    #[default]
    Always,
    /// On those to requests that were admitted.
    Admitted,
    /// On refusals alone.
    Refused,
}

impl When {
    /// Whether a response has the fields.
    #[must_use]
    pub const fn applies(self, is_refusal: bool) -> bool {
        match self {
            Self::Always => true,
            Self::Admitted => !is_refusal,
            Self::Refused => is_refusal,
        }
    }
}

impl Fields {
    /// All placeholders of the policy's own fields.
    pub(super) fn placeholders(&self) -> impl Iterator<Item = Placeholder> {
        let values = self.write.iter().flat_map(|field| &field.values);
        values.flat_map(|written| written.value.placeholders())
    }

    /// Whether one of these fields shows something of the request head: an attribute, or the trace
    /// id.
    #[must_use]
    pub fn show_the_request(&self) -> bool {
        self.placeholders().any(|placeholder| {
            matches!(
                placeholder,
                Placeholder::Attribute(_) | Placeholder::TraceId
            )
        })
    }
}

impl Default for Fields {
    fn default() -> Self {
        Self {
            x_ratelimit: Some(XRateLimit::default()),
            ietf: false,
            when: When::default(),
            write: Vec::new(),
        }
    }
}

/// The limits and pools that a field can show; `None` if they have errors.
pub(in crate::policy) struct Shown<'a> {
    pub(in crate::policy) limits: Option<&'a [Limit]>,
    pub(in crate::policy) pools: Option<&'a [PoolLimit]>,
}

impl Shown<'_> {
    /// The limit or pool of this name. If some limits have errors, an unknown name may be that of
    /// one of them.
    fn find(&self, field: &Field<'_>, name: &str) -> Option<Of> {
        let limits = self.limits?.iter().map(|limit| &*limit.scope.name);
        let pools = self.pools?.iter().map(|pool| &*pool.scope.name);
        let limit = limits.clone().position(|known| known == name);
        let pool = pools.clone().position(|known| known == name);
        let id = |index: usize| u16::try_from(index).ok();
        let limit = limit.and_then(id).map(|id| Of::Limit(LimitId::new(id)));
        let found = limit.or_else(|| Some(Of::Pool(PoolId::new(pool.and_then(id)?))));
        if found.is_none() {
            let choices = limits.chain(pools).map(str::to_owned).collect();
            field.error(Reason::not_one_of(name, choices, "a limit or a pool"));
        }
        found
    }
}

/// Reads the fields; `Some(None)` if the policy wants none.
pub(super) fn read(
    map: &MapField<'_, lang::Fields>,
    shown: &Shown<'_>,
    attributes: &mut Attributes,
) -> Option<Option<Fields>> {
    let family = map.read(lang::Fields::FAMILY);
    let reset = map.read(lang::Fields::RESET);
    let with = map.read_with(lang::Fields::WITH, |_, words| {
        words.each(|_, word| Some(word))
    });
    let when = map.read(lang::Fields::WHEN);
    let write = map.read_with(lang::Fields::WRITE, |_, list| {
        let written = list.each(|_, map| read_written(&map, when, shown, attributes))?;
        Some(by_name(written))
    });
    map.finish();
    let (family, with) = (family?, with?.unwrap_or_default());
    let x_ratelimit = XRateLimit {
        reset: reset?,
        period: with.contains(&With::Period),
        name: with.contains(&With::Name),
    };
    let (x_ratelimit, ietf) = match family {
        Family::XRateLimit => (Some(x_ratelimit), false),
        Family::Both => (Some(x_ratelimit), true),
        Family::Ietf => (None, true),
        Family::None => (None, false),
    };
    let fields = Fields {
        x_ratelimit,
        ietf,
        when: when?,
        write: write?.unwrap_or_default(),
    };
    let is_none = fields.x_ratelimit.is_none() && !fields.ietf && fields.write.is_empty();
    Some((!is_none).then_some(fields))
}

/// Reads one entry. `usual` is the default of `when`.
fn read_written(
    map: &MapField<'_, lang::WrittenField>,
    usual: Option<When>,
    shown: &Shown<'_>,
    attributes: &mut Attributes,
) -> Option<(Box<str>, WrittenValue)> {
    let name = map.read(lang::WrittenField::NAME);
    let value = map.read_with(lang::WrittenField::VALUE, |_, text| {
        compile(text, attributes)
    });
    let of = map.read_with(lang::WrittenField::OF, |_, names| {
        names.each(|field, name| shown.find(&field, name))
    });
    let when = map.read(lang::WrittenField::WHEN);
    map.finish();
    let value = WrittenValue {
        of: of?.unwrap_or_default(),
        value: value?,
        when: when?.or(usual)?,
    };
    Some((name?, value))
}

/// The entries of each name together, in the order in which the names occur first.
fn by_name(entries: Vec<(Box<str>, WrittenValue)>) -> Vec<Written> {
    let mut fields: Vec<Written> = Vec::new();
    for (name, value) in entries {
        match fields.iter_mut().find(|field| field.name == name) {
            Some(field) => field.values.push(value),
            None => fields.push(Written {
                name,
                values: vec![value],
            }),
        }
    }
    fields
}
