//! The host of `explain`: a proxy that answers from the arguments. It is part of the product, so it
//! is not one of the fake hosts of the tests.

use std::fmt::Display;
use std::net::IpAddr;

use super::args::ExplainArgs;
use super::upstream::Upstream;
use super::{message, time};
use crate::base::property::Property;
use crate::base::time::Timestamp;
use crate::host::headers::Headers;
use crate::host::stream::{Clock, Properties, RequestHead};
use crate::policy::Policy;
use crate::policy::callers::source::certificate_parts;
use crate::policy::reader::is_token;
use crate::request::head::Request;

/// One request, and the proxy's properties of it.
#[derive(Debug)]
pub(super) struct Proxy {
    pub(super) method: String,
    /// Without the query, which may hold a credential.
    pub(super) path: String,
    pub(super) now: Timestamp,
    /// The upstream's response, if it was given.
    pub(super) upstream: Option<Upstream>,
    headers: Headers,
    answers: [Option<Vec<u8>>; Property::ALL.len()],
}

impl Clock for Proxy {
    fn now(&self) -> Timestamp {
        self.now
    }
}

impl RequestHead for Proxy {
    fn request_headers(&self) -> Headers {
        self.headers.clone()
    }
}

impl Properties for Proxy {
    fn property(&self, which: Property) -> Option<Vec<u8>> {
        self.answers.get(which.index())?.clone()
    }
}

impl Proxy {
    /// The request of the arguments; else which of them is wrong, and why. An error repeats only
    /// names.
    pub(super) fn of(args: &ExplainArgs) -> Result<Self, String> {
        check_line(args)?;
        let mut pairs = vec![
            (":method".to_owned(), args.method.clone()),
            (":path".to_owned(), args.path.clone()),
        ];
        for (number, text) in (1..).zip(&args.headers) {
            let (name, value) = header(text).map_err(|why| input_error("--header", number, why))?;
            add(&mut pairs, name, value);
        }
        let pairs: Vec<(&str, &[u8])> = pairs
            .iter()
            .map(|(name, value)| (&**name, value.as_bytes()))
            .collect();
        let mut proxy = Self {
            method: args.method.clone(),
            path: args
                .path
                .split(['?', '#'])
                .next()
                .unwrap_or_default()
                .to_owned(),
            now: args.at.unwrap_or_else(time::now),
            upstream: Upstream::of(args)?,
            headers: Headers::new(Headers::encode(&pairs)),
            answers: Default::default(),
        };
        proxy.learn(args)?;
        Ok(proxy)
    }

    /// Reads the properties that the arguments state.
    fn learn(&mut self, args: &ExplainArgs) -> Result<(), String> {
        if let Some(json) = &args.metadata {
            self.know(
                Property::Metadata,
                message::metadata(json).map_err(|why| format!("--metadata: {why}"))?,
            );
        }
        if let Some(json) = &args.route_metadata {
            let metadata =
                message::metadata(json).map_err(|why| format!("--route-metadata: {why}"))?;
            self.know(Property::RouteMetadata, metadata);
        }
        if let Some(json) = &args.node_metadata {
            self.know(
                Property::Node,
                message::node(json).map_err(|why| format!("--node-metadata: {why}"))?,
            );
        }
        for (number, text) in (1..).zip(&args.certificate) {
            let (part, value) =
                certificate(text).map_err(|why| input_error("--certificate", number, why))?;
            self.know(part, value.into());
        }
        if let Some(address) = args.address {
            self.know(Property::SourceAddress, with_a_port(address).into());
        }
        Ok(())
    }

    /// A request with these headers, at the epoch.
    #[cfg(test)]
    pub(super) fn with(method: &str, path: &str, headers: Headers) -> Self {
        let now = Timestamp::from_nanos(0);
        Self {
            method: method.to_owned(),
            path: path.to_owned(),
            now,
            upstream: None,
            headers,
            answers: Default::default(),
        }
    }

    /// The request, as `policy` looks at it.
    pub(super) fn request(&self, policy: &Policy) -> Request {
        let mut request = Request {
            now: self.now,
            ..Request::default()
        };
        request.read(self, policy, !self.has_body());
        request
    }

    /// Whether it says that it has a body, or is of a method that has one.
    pub(super) fn has_body(&self) -> bool {
        match self.headers.first("content-length") {
            Some(length) => length != b"0",
            None => matches!(&*self.method, "POST" | "PUT" | "PATCH"),
        }
    }

    /// Whether the arguments say it, be it that there is none.
    pub(super) fn knows(&self, property: Property) -> bool {
        self.answers
            .get(property.index())
            .is_some_and(Option::is_some)
    }

    pub(super) fn has_header(&self, name: &str) -> bool {
        self.headers.first(name).is_some()
    }

    fn know(&mut self, property: Property, answer: Vec<u8>) {
        if let Some(place) = self.answers.get_mut(property.index()) {
            *place = Some(answer);
        }
    }
}

/// Whether method and path can be those of a request.
fn check_line(args: &ExplainArgs) -> Result<(), String> {
    if !is_token(&args.method) {
        return Err("--method: is not the name of a method".to_owned());
    }
    if !args.path.starts_with('/') && args.path != "*" {
        return Err("--path: must begin with a / (the part of a URL after the host)".to_owned());
    }
    if !args
        .path
        .bytes()
        .all(|byte| byte.is_ascii_graphic() || !byte.is_ascii())
    {
        return Err("--path: has a blank or a control character: write %20 for a blank".to_owned());
    }
    Ok(())
}

/// Which of several is wrong, without its value.
pub(super) fn input_error(option: &str, number: u32, why: impl Display) -> String {
    format!("{option}, number {number}: {why}")
}

pub(super) fn header(text: &str) -> Result<(String, &str), &'static str> {
    if text.starts_with(':') {
        return Err("a pseudo-header: use --method and --path instead");
    }
    let (name, value) = text.split_once(':').ok_or("is not NAME: VALUE")?;
    if !is_token(name) {
        return Err("the name before the colon is not that of a header");
    }
    if value.contains(['\0', '\r', '\n']) {
        return Err("a value has no line breaks");
    }
    Ok((name.to_ascii_lowercase(), value.trim()))
}

/// Adds a header as Envoy shows it to its filters.
fn add(pairs: &mut Vec<(String, String)>, name: String, value: &str) {
    let name = if name == "host" {
        ":authority".to_owned()
    } else {
        name
    };
    // Of this one Envoy joins repeated lines before any filter sees them.
    let joined = pairs
        .iter_mut()
        .find(|(known, _)| *known == name && name == "authorization");
    match joined {
        Some((_, known)) => {
            known.push(',');
            known.push_str(value);
        }
        None => pairs.push((name, value.to_owned())),
    }
}

fn certificate(text: &str) -> Result<(Property, &str), String> {
    let names: Vec<&str> = certificate_parts().map(|(name, _)| name).collect();
    let wrong = || format!("is not PART=VALUE, with a part of {}", names.join(", "));
    let (name, value) = text.split_once('=').ok_or_else(wrong)?;
    let part = certificate_parts()
        .find(|(known, _)| *known == name)
        .map(|(_, part)| part);
    part.map(|part| (part, value)).ok_or_else(wrong)
}

/// The address as a proxy writes it.
fn with_a_port(address: IpAddr) -> String {
    match address {
        IpAddr::V4(v4) => format!("{v4}:0"),
        IpAddr::V6(v6) => format!("[{v6}]:0"),
    }
}
