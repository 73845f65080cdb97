//! The values that an attribute can have, as far as its sources state them.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::net::IpAddr;

use crate::base::property::Property;
use crate::policy::Policy;
use crate::policy::attributes::{AttributeId, Attributes};
use crate::policy::callers::Source;
use crate::policy::error::{Choices, Quoted, nearest};
use crate::request::address::network;
use crate::request::authority::normalized;

/// The values of one attribute.
pub(super) enum Values<'p> {
    /// Any value.
    Any,
    /// These, and values that fit a shape.
    Only {
        /// The values in entries of the directory; `None` if there can be none.
        held: Option<BTreeSet<&'p str>>,
        shapes: Vec<Shape>,
        /// The value that applies if no source has another.
        constant: Option<&'p str>,
    },
}

/// How the values of a source look.
#[derive(Clone, Copy)]
pub(super) enum Shape {
    /// Of a secret: 32 hexadecimal digits.
    Identifier,
    /// Of a client's address.
    Network { v4_prefix: u32, v6_prefix: u32 },
    /// Of a certificate: 64 hexadecimal digits.
    Sha256,
    /// Of the request's host.
    Host,
    /// Of a label of the request's host.
    Label,
}

impl<'p> Values<'p> {
    /// `entries`: the policy has a directory.
    pub(super) fn of(policy: &'p Policy, id: AttributeId, entries: bool) -> Self {
        let callers = &policy.callers;
        if id == Attributes::CREDENTIAL {
            // The policy itself has checked it.
            return Self::Any;
        }
        if callers
            .credentials
            .iter()
            .any(|credential| credential.attribute == id)
        {
            return Self::Only {
                held: None,
                shapes: vec![Shape::Identifier],
                constant: None,
            };
        }
        let own = [Source::Directory(id)];
        let listed = callers.sources.iter().find(|(known, _)| *known == id);
        let listed = listed.map(|(_, sources)| &sources[..]);
        let own_value = listed.and_then(<[Source]>::last).and_then(constant);
        let sources = listed.unwrap_or(&own);
        let (mut held, mut shapes) = (None, Vec::new());
        for source in sources {
            if let Source::Directory(from) = source {
                // Its entries will be added later.
                if entries && callers.directory.count() == 0 {
                    return Self::Any;
                }
                let values = callers
                    .directory
                    .values()
                    .filter(|(attribute, _)| attribute == from);
                held.get_or_insert_with(BTreeSet::new)
                    .extend(values.map(|(_, value)| value));
            } else if let Some(shape) = Shape::of(source) {
                shapes.push(shape);
            } else if constant(source).is_none() {
                return Self::Any;
            }
        }
        Self::Only {
            held: held.filter(|_| entries),
            shapes,
            constant: own_value,
        }
    }

    /// Why no caller has `value`; `None` if one may.
    pub(super) fn refuse(&self, name: &str, value: &str) -> Option<String> {
        let Self::Only {
            held,
            shapes,
            constant,
        } = self
        else {
            return None;
        };
        if *constant == Some(value) {
            return None;
        }
        let is_held = held.as_ref().is_some_and(|held| held.contains(value));
        if is_held || shapes.iter().any(|shape| shape.fits(value)) {
            return None;
        }
        let mut why: Vec<String> = Vec::new();
        if let Some(held) = held {
            why.extend(match held.len() {
                0 if !shapes.is_empty() || constant.is_some() => None,
                0 => Some(format!("no entry of the directory has {}", Quoted(name))),
                _ => {
                    let all: Vec<String> =
                        held.iter().map(|value| Quoted(value).to_string()).collect();
                    let mut said = format!("entries of the directory have {}", Choices(&all));
                    if let Some(meant) = nearest(value, held.iter().copied()) {
                        // Writing to a string cannot fail.
                        let _ = write!(said, "; did you mean {}?", Quoted(meant));
                    }
                    Some(said)
                }
            });
        }
        why.extend(shapes.iter().map(|shape| shape.describe(value)));
        why.extend(constant.map(|constant| format!("its other value is {}", Quoted(constant))));
        if why.is_empty() {
            why.push("the policy has no directory".to_owned());
        }
        Some(why.join("; "))
    }
}

/// The value of a constant.
fn constant(source: &Source) -> Option<&str> {
    if let Source::Constant(value) = source {
        Some(value)
    } else {
        None
    }
}

fn is_hex(text: &str, digits: usize) -> bool {
    text.len() == digits
        && text
            .bytes()
            .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// Whether a host in one spelling may have this label.
fn is_label(value: &str) -> bool {
    !value.contains(['.', '['])
        && normalized(value.as_bytes()).is_some_and(|host| host == value.as_bytes())
}

impl Shape {
    /// The shape of a source's values; `None` if they can be anything.
    fn of(source: &Source) -> Option<Self> {
        match source {
            Source::ClientAddress {
                v4_prefix,
                v6_prefix,
            } => Some(Self::Network {
                v4_prefix: *v4_prefix,
                v6_prefix: *v6_prefix,
            }),
            Source::Host(None) => Some(Self::Host),
            Source::Host(Some(_)) => Some(Self::Label),
            Source::ClientCertificate(Property::CertificateSha256) => Some(Self::Sha256),
            Source::Directory(_)
            | Source::Path(_)
            | Source::Metadata { .. }
            | Source::RouteMetadata(_)
            | Source::NodeMetadata(..)
            | Source::Query(_)
            | Source::Cookie(_)
            | Source::Constant(_)
            | Source::Header(_)
            | Source::ClientCertificate(_) => None,
        }
    }

    fn fits(self, value: &str) -> bool {
        match self {
            Self::Identifier => is_hex(value, 32),
            Self::Sha256 => is_hex(value, 64),
            Self::Host => normalized(value.as_bytes()).is_some_and(|host| host == value.as_bytes()),
            Self::Label => is_label(value),
            Self::Network {
                v4_prefix,
                v6_prefix,
            } => of_address(value, v4_prefix, v6_prefix).is_some_and(|network| network == value),
        }
    }

    fn describe(self, value: &str) -> String {
        match self {
            Self::Identifier => {
                "an identifier is 32 hexadecimal digits, as `sluicegate explain` shows it"
                    .to_owned()
            }
            Self::Sha256 => "it is 64 hexadecimal digits, in lower case".to_owned(),
            Self::Host => {
                let like = normalized(value.as_bytes()).unwrap_or_else(|| b"shop.example".to_vec());
                format!(
                    "`host` gives values such as {}",
                    Quoted(&String::from_utf8_lossy(&like))
                )
            }
            Self::Label => "`host` gives one label of the host, in lower case".to_owned(),
            Self::Network {
                v4_prefix,
                v6_prefix,
            } => {
                let like = of_address(value, v4_prefix, v6_prefix)
                    .or_else(|| of_address("192.0.2.7", v4_prefix, v6_prefix));
                format!(
                    "`client_address` gives values such as {}",
                    Quoted(&like.unwrap_or_default())
                )
            }
        }
    }
}

/// The network of an address, with or without a prefix behind it.
fn of_address(value: &str, v4_prefix: u32, v6_prefix: u32) -> Option<String> {
    let address = value.split('/').next().unwrap_or_default();
    let with_a_port = match address.parse().ok()? {
        IpAddr::V4(v4) => format!("{v4}:0"),
        IpAddr::V6(v6) => format!("[{v6}]:0"),
    };
    network(with_a_port.as_bytes(), v4_prefix, v6_prefix)
}
