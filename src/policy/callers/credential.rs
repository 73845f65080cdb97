//! The credentials that a request may present: secrets, to be looked up in the directory, and
//! tokens that an earlier filter has verified.

use super::super::Context;
use super::super::attributes::AttributeId;
use super::super::error::Reason;
use super::super::language as lang;
use super::super::reader::{Field, Items, MapField};
use super::source::Steps;

/// One way to present a credential.
#[derive(Debug)]
pub struct Credential {
    /// Its name.
    pub name: Box<str>,
    /// The attribute of that name: an opaque identifier.
    pub attribute: AttributeId,
    /// Its place in a request.
    pub place: Place,
    /// If this credential, one before it, is presented too, a secret that the directory does not
    /// have is ignored.
    pub unless: Option<AttributeId>,
}

/// The place of a credential in a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// In a header.
    Header {
        /// The header's name, in lower case.
        name: Box<str>,
        /// The word before the secret, compared without regard to case (RFC 9110 §11.1).
        scheme: Option<Box<str>>,
        /// Of `Basic` credentials, the part that is the secret; `None` for all of the value.
        part: Option<BasicPart>,
    },
    /// In a query parameter.
    Query {
        /// The parameter's name, decoded.
        name: Box<str>,
    },
    /// In a cookie of this name.
    Cookie {
        /// The cookie's name.
        name: Box<str>,
    },
    /// In the dynamic metadata of an earlier filter that verified it; never looked up.
    Metadata(Steps),
}

/// A part of the credentials of the scheme `Basic` (RFC 7617).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BasicPart {
    /// The user.
    User,
    /// The password.
    Password,
}

/// The only scheme whose credentials have parts.
const BASIC: &str = "basic";

impl Place {
    /// The same for all spellings of one place.
    fn spelled_alike(&self) -> Self {
        match self.clone() {
            Self::Header { name, scheme, part } => Self::Header {
                name,
                part,
                scheme: scheme.map(|scheme| scheme.to_ascii_lowercase().into()),
            },
            other @ (Self::Query { .. } | Self::Cookie { .. } | Self::Metadata(_)) => other,
        }
    }
}

/// A credential that was read, for those after it.
struct Earlier {
    name: Box<str>,
    attribute: AttributeId,
}

pub(super) fn read(
    list: &Items<'_, lang::Map<lang::Credential>>,
    context: &mut Context,
) -> Option<Vec<Credential>> {
    let mut places: Vec<(Place, String)> = Vec::new();
    // `None` for one whose name has an error.
    let mut earlier: Vec<Option<Earlier>> = Vec::new();
    list.each_field(|field| {
        let Some(map) = field.map() else {
            earlier.push(None);
            return None;
        };
        let one = read_one(&map, &mut earlier, context)?;
        let place = one.place.spelled_alike();
        if let Some((_, first)) = places.iter().find(|(known, _)| *known == place) {
            return field.refuse(Reason::Duplicate {
                value: None,
                first: first.clone(),
            });
        }
        places.push((place, field.at.to_string()));
        Some(one)
    })
}

fn read_one(
    map: &MapField<'_, lang::Credential>,
    earlier: &mut Vec<Option<Earlier>>,
    context: &mut Context,
) -> Option<Credential> {
    let named = map.read_with(lang::Credential::NAME, |field, name| {
        let attribute = context.attributes.declare_credential(&field, name)?;
        Some((Box::<str>::from(name), attribute))
    });
    let place = map.only_one().and_then(|_| read_place(map));
    let unless = if map.has(lang::Credential::METADATA) {
        Some(None)
    } else {
        map.read_with(lang::Credential::UNLESS, |field, name| {
            read_unless(&field, name, earlier)
        })
    };
    map.finish();
    earlier.push(named.as_ref().map(|(name, attribute)| Earlier {
        name: name.clone(),
        attribute: *attribute,
    }));
    let ((name, attribute), place) = named.zip(place)?;
    Some(Credential {
        name,
        attribute,
        place,
        unless: unless?,
    })
}

/// Reads the one place that there is.
fn read_place(map: &MapField<'_, lang::Credential>) -> Option<Place> {
    let header = map.read(lang::Credential::HEADER);
    let scheme = header.as_ref().and_then(|header| match header {
        Some(_) => map.read(lang::Credential::SCHEME),
        None => Some(None),
    });
    let part = match &scheme {
        Some(Some(scheme)) => map.read_with(lang::Credential::PART, |field, part| {
            if scheme.eq_ignore_ascii_case(BASIC) {
                Some(part)
            } else {
                field.refuse(Reason::RequiresSibling {
                    sibling: "`scheme: Basic`",
                })
            }
        }),
        Some(None) | None => Some(None),
    };
    let cookie = map.read(lang::Credential::COOKIE);
    let query = map.read(lang::Credential::QUERY);
    let metadata = map.read(lang::Credential::METADATA);
    match (header?, query?, cookie?, metadata?) {
        (Some(name), ..) => Some(Place::Header {
            name,
            scheme: scheme?.map(Box::from),
            part: part?,
        }),
        (None, Some(name), ..) => Some(Place::Query { name: name.into() }),
        (None, None, Some(name), _) => Some(Place::Cookie { name: name.into() }),
        (None, None, None, path) => path.map(Place::Metadata),
    }
}

fn read_unless(field: &Field<'_>, name: &str, earlier: &[Option<Earlier>]) -> Option<AttributeId> {
    let mut known = earlier.iter().flatten();
    if let Some(found) = known.find(|earlier| *earlier.name == *name) {
        return Some(found.attribute);
    }
    // One without a name may be the one that is meant; its own error says enough.
    if earlier.iter().all(Option::is_some) {
        let mut choices: Vec<&str> = earlier
            .iter()
            .flatten()
            .map(|earlier| &*earlier.name)
            .collect();
        choices.sort_unstable();
        choices.dedup();
        let choices = choices.into_iter().map(str::to_owned).collect();
        field.error(Reason::not_one_of(
            name,
            choices,
            "a credential before this one",
        ));
    }
    None
}
