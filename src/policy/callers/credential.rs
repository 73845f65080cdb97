//! The credentials that a request may present: secrets, to be looked up in the directory, and what
//! an earlier filter has verified.

use super::super::Context;
use super::super::attributes::AttributeId;
use super::super::error::Reason;
use super::super::header::{self, TOKEN_BYTES_MAX};
use super::super::reader::Field;
use super::read_steps;
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
    /// Where this credential, one before it, is presented too, a secret that the directory does not
    /// have is passed over.
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
    },
    /// In a query parameter.
    Query {
        /// The parameter's name, decoded.
        name: Box<str>,
    },
    /// In what an earlier filter has verified and left as dynamic metadata; never looked up.
    Metadata(Steps),
}

impl Place {
    /// The same for all spellings of one place.
    fn spelled_alike(&self) -> Self {
        match self.clone() {
            Self::Header { name, scheme } => Self::Header {
                name,
                scheme: scheme.map(|scheme| scheme.to_ascii_lowercase().into()),
            },
            other @ (Self::Query { .. } | Self::Metadata(_)) => other,
        }
    }
}

pub(crate) const CREDENTIALS_MAX: usize = 16;

/// A credential that was read, for those after it.
struct Earlier {
    name: Box<str>,
    attribute: AttributeId,
}

pub(super) fn read(field: Field<'_>, context: &mut Context) -> Option<Vec<Credential>> {
    let nodes = field.non_empty_list(CREDENTIALS_MAX)?;
    let mut places: Vec<(Place, String)> = Vec::new();
    // `None` for one whose name has an error.
    let mut earlier: Vec<Option<Earlier>> = Vec::new();
    let read = field.each(nodes, |field| {
        let one = read_one(field, &mut earlier, context)?;
        let place = one.place.spelled_alike();
        if let Some((_, first)) = places.iter().find(|(known, _)| *known == place) {
            return field.refuse(Reason::Duplicate {
                value: None,
                first: first.clone(),
            });
        }
        places.push((place, field.at.to_string()));
        Some(one)
    });
    (read.len() == nodes.len()).then_some(read)
}

fn read_one(
    field: Field<'_>,
    earlier: &mut Vec<Option<Earlier>>,
    context: &mut Context,
) -> Option<Credential> {
    let Some(map) = field.map("{ name: api_key, header: x-api-key }") else {
        earlier.push(None);
        return None;
    };
    let named = map.require("name").and_then(|field| {
        let name: Box<str> = field.name()?.into();
        let attribute = context.attributes.declare_credential(&field, &name)?;
        Some((name, attribute))
    });
    let (header, scheme) = (map.get("header"), map.get("scheme"));
    let (query, metadata) = (map.get("query"), map.get("metadata"));
    let unless = map.get("unless");
    let place = match (header, query, metadata) {
        (Some(header), None, None) => read_header(&header, scheme.as_ref()),
        (None, Some(query), None) => query
            .text(TOKEN_BYTES_MAX)
            .map(|name| Place::Query { name: name.into() }),
        (None, None, Some(metadata)) => read_steps(metadata, 2).map(Place::Metadata),
        (..) => {
            let given = [("header", header), ("query", query), ("metadata", metadata)];
            let given = given
                .into_iter()
                .filter_map(|(key, field)| field.map(|_| key))
                .collect();
            field.refuse(Reason::NotOneSource {
                sources: &["header", "query", "metadata"],
                given,
            })
        }
    };
    if let (Some(scheme), None) = (&scheme, &header) {
        scheme.error(Reason::RequiresSibling {
            sibling: "`header`",
        });
    }
    let unless = match unless {
        Some(unless) if metadata.is_some() => unless.refuse(Reason::RequiresSibling {
            sibling: "`header` or `query`",
        }),
        Some(unless) => read_unless(&unless, earlier).map(Some),
        None => Some(None),
    };
    map.deny_unknown();
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

fn read_unless(field: &Field<'_>, earlier: &[Option<Earlier>]) -> Option<AttributeId> {
    let name = field.string()?;
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

fn read_header(header: &Field<'_>, scheme: Option<&Field<'_>>) -> Option<Place> {
    let name = header::read_name(header);
    let scheme = match scheme {
        Some(scheme) => scheme
            .token(TOKEN_BYTES_MAX, "an authentication scheme")
            .map(Some),
        None => Some(None),
    };
    let (name, scheme) = name.zip(scheme)?;
    Some(Place::Header {
        name,
        scheme: scheme.map(Box::from),
    })
}
