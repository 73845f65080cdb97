//! Callers: credentials, the directory, and attributes from other sources.

use std::net::{Ipv4Addr, Ipv6Addr};

#[cfg(not(target_arch = "wasm32"))]
use serde_json::json;

use super::Constraint;
use super::formats::Text;
use super::formats::{
    CapturePath, CookieName, Digest, HeaderName, HostText, NewAttribute, NewCredential, NodeSteps,
    ParameterName, Reference, Scheme, Steps, Until,
};
use super::key::{mapping, words};
use super::kind::{Choice, Count32, List, Map, Set, True, TrueOr};
use super::select::{ATTRIBUTE_BYTES_MAX, Routes};
#[cfg(not(target_arch = "wasm32"))]
use super::{Kind, Names, Rest};
use crate::base::property::Property;
use crate::policy::attributes::ATTRIBUTES_MAX;
#[cfg(not(target_arch = "wasm32"))]
use crate::policy::attributes::RESERVED;
use crate::policy::callers::{BasicPart, OnUnidentified};

mapping! {
    /// The callers of the API: their credentials and attributes.
    Callers "{ credentials: [{ name: api_key, header: x-api-key }], directory: [] }"
    constraints [Constraint::Requires {
        key: Self::DIRECTORY_ATTRIBUTES.name,
        other: Self::DIRECTORY.name,
        because: "`directory`",
    }]
    {
        /// The routes on which the gateway identifies callers. On other routes it looks at no
        /// credential and never answers 401.
        FOR "for": Map<CallerRoutes>, optional "all routes";
        /// The credentials that a request may present, in the order in which the gateway looks for
        /// them. Several may share a name: they are ways to present one kind of credential.
        /// Without credentials no request receives a 401, for any value of `absent`.
        CREDENTIALS "credentials": List<Map<Credential>, 0, 16>, optional "none";
        /// Secrets and the attributes of their callers. Required if a credential is a header or a
        /// query parameter and `unknown` is `refuse`. It may be `[]`.
        DIRECTORY "directory": List<Map<DirectoryEntry>, 0, 500_000>, optional "none";
        /// Attributes that directory entries may have. Limits and the access log can name them even
        /// if no entry has them yet. Attributes of existing entries need not be listed. Requires
        /// `directory`.
        DIRECTORY_ATTRIBUTES "directory_attributes": Set<NewAttribute, 0, ATTRIBUTES_MAX>,
            optional "none";
        /// Attributes from other sources, each a list of 1 to 16 sources. The first source that has
        /// a value supplies it.
        ATTRIBUTES "attributes": Map<Sources>, optional "none";
        /// A secret that is not in the directory.
        UNKNOWN "unknown": Choice<OnUnidentified>, default OnUnidentified::Refuse;
        /// A request without any credential.
        ABSENT "absent": Choice<OnUnidentified>, default OnUnidentified::Refuse;
    }
    schema vec![json!({
        "if": { "properties": {
            "unknown": { "const": "refuse" },
            "credentials": { "contains": { "not": { "required": ["metadata"] } } },
        }, "required": ["credentials"] },
        "then": { "required": ["directory"] },
    })];
}

mapping! {
    /// Selects requests.
    CallerRoutes "{ routes: [/v1/**] }" {
        /// The request matches one of these routes.
        ROUTES "routes": Routes, required;
    }
}

words! {
    OnUnidentified, "a treatment of unidentified callers" {
        /// Answer 401.
        "refuse" => Self::Refuse,
        /// Continue as an anonymous caller, without attributes.
        "anonymous" => Self::Anonymous,
    }
}

mapping! {
    /// One way to present a credential.
    Credential "{ name: api_key, header: x-api-key }"
    constraints [
        Constraint::ExactlyOne(&[
            Self::HEADER.name,
            Self::QUERY.name,
            Self::COOKIE.name,
            Self::METADATA.name,
        ]),
        Constraint::Requires {
            key: Self::SCHEME.name,
            other: Self::HEADER.name,
            because: "`header`",
        },
        Constraint::Requires {
            key: Self::PART.name,
            other: Self::SCHEME.name,
            because: "`scheme: Basic`",
        },
        Constraint::Excludes {
            key: Self::UNLESS.name,
            other: Self::METADATA.name,
            because: "`header`, `query` or `cookie`",
        },
    ]
    {
        /// The name of the credential and of its own attribute, which is an identifier of the
        /// secret, never the secret itself, as in `per: [api_key]`. Several entries may share a
        /// name: they are several ways to present one kind of credential.
        /// `none` and `refused` are reserved.
        NAME "name": NewCredential, required;
        /// The request header that holds the secret.
        HEADER "header": HeaderName, optional "one of the four";
        /// With `header`: the word before the secret, such as `Bearer`. Case does not matter (RFC
        /// 9110 §11.1). A header with another scheme does not hold this credential.
        SCHEME "scheme": Scheme, optional "none";
        /// With `scheme: Basic`: the part of the decoded credentials that is the secret. The user
        /// is everything before the first colon, the password everything after it. Credentials
        /// that are not padded Base64, or have no colon, count as absent.
        PART "part": Choice<BasicPart>, optional "the value as it is sent";
        /// The query parameter that holds the secret, percent-encoded, with `+` for a space.
        QUERY "query": ParameterName, optional "one of the four";
        /// The cookie that holds the secret (RFC 6265), case-sensitive. Quotes belong to the
        /// value.
        COOKIE "cookie": CookieName, optional "one of the four";
        /// The dynamic metadata that an earlier filter writes after it verified something, such as
        /// `[envoy.filters.http.jwt_authn, session]`. The credential is present if the value is a
        /// map or a string. The gateway never looks it up in the directory.
        METADATA "metadata": Steps, optional "one of the four";
        /// With `header`, `query` or `cookie`, the name of an earlier credential: if that
        /// credential is present too, the gateway ignores a secret that the directory does not
        /// have, as if the request did not carry it
        /// ([sessions](your-own-envoy.md#sessions-with-jwt_authn)).
        UNLESS "unless": Reference, optional "none";
    }
}

mapping! {
    /// A secret and the attributes of its caller.
    DirectoryEntry "{ sha256: <64 hexadecimal digits>, org: acme }" {
        /// The SHA-256 of the secret: `printf %s KEY | sha256sum`.
        SHA256 "sha256": Digest, required;
        /// The last day on which the secret is known, in UTC, or the time from which on it is
        /// unknown, with its offset.
        UNTIL "until": Until, optional "without end";
    }
    rest Rest {
        key: "any other name",
        doc: "An attribute of this caller, such as `org: acme`.",
        names: Names::But(&[
            "credential",
            "presented",
            "tier",
            "routes",
            "except",
            "route",
            "method",
            "host",
        ]),
        shape: Text::<ATTRIBUTE_BYTES_MAX>::shape(),
        count: (None, None),
        absent: "none",
        words: Vec::new(),
    };
}

mapping! {
    /// Attributes from sources other than the directory.
    Sources "{ org: [{ directory: org }] }" {}
    rest Rest {
        key: "name of the attribute",
        doc: "The sources of the attribute: the first that has a value is used. The directory \
              comes first, unless the list contains it.",
        names: Names::But(&RESERVED),
        shape: SourceList::shape(),
        count: (None, None),
        absent: "none",
        words: Vec::new(),
    };
}

/// The sources of an attribute.
pub(crate) type SourceList = Set<Map<Source>, 1, 16>;

mapping! {
    /// A source of an attribute.
    Source "{ metadata: [envoy.filters.http.jwt_authn, session, sub] }"
    constraints [
        Constraint::Requires {
            key: Self::TRUSTED.name,
            other: Self::HEADER.name,
            because: "`header`",
        },
        Constraint::ExactlyOne(&[
            Self::DIRECTORY.name,
            Self::PATH.name,
            Self::METADATA.name,
            Self::ROUTE_METADATA.name,
            Self::NODE_METADATA.name,
            Self::QUERY.name,
            Self::COOKIE.name,
            Self::HEADER.name,
            Self::HOST.name,
            Self::CLIENT_ADDRESS.name,
            Self::CLIENT_CERTIFICATE.name,
            Self::VALUE.name,
        ]),
    ]
    {
        /// That attribute of the caller's directory entry. The entry's own value for the same name
        /// comes first unless the list has a `directory` source. Controlled by the policy.
        DIRECTORY "directory": Reference, optional "one of these";
        /// The segment that the path captures under the attribute's own name, as in
        /// `"/e/{environment}/**"`. Controlled by **the client**.
        PATH "path": CapturePath, optional "one of these";
        /// Dynamic metadata of an earlier filter: `[FILTER, KEY, …]`, such as
        /// `[envoy.filters.http.jwt_authn, session, sub]`. Controlled by that filter.
        METADATA "metadata": Steps, optional "one of these";
        /// The `metadata` of the route in Envoy's configuration (not of its virtual host):
        /// `[NAMESPACE, KEY, …]`. Controlled by the author of the routes.
        ROUTE_METADATA "route_metadata": Steps, optional "one of these";
        /// The proxy's own metadata, `node.metadata` of the bootstrap: a key, or a list of steps.
        /// The filter reads it once, when it loads the policy. Controlled by the operator of the
        /// proxy.
        NODE_METADATA "node_metadata": NodeSteps, optional "one of these";
        /// That query parameter, decoded. Controlled by **the client**.
        QUERY "query": ParameterName, optional "one of these";
        /// That cookie, as it is sent. Controlled by **the client**.
        COOKIE "cookie": CookieName, optional "one of these";
        /// A request header that clients cannot send. Requires `trusted: true`. Controlled by the
        /// sender of the header.
        HEADER "header": HeaderName, optional "one of these";
        /// The requested host (`Host`, or `:authority` in HTTP/2) in lower case, without port, user
        /// and final dot: `shop.example`, `[2001:db8::7]`. A pattern such as
        /// `"{tenant}.example.com"` takes the one label that it captures under the attribute's own
        /// name, and has no value if the host does not match. Controlled by **the client**, among
        /// the hosts that Envoy routes.
        HOST "host": TrueOr<HostText>, optional "one of these";
        /// The client's address as Envoy determined it, or its network: `192.0.2.7`,
        /// `192.0.2.0/24`, `2001:db8::/64`. The map may be `{}`. Controlled by the client, within
        /// its networks.
        CLIENT_ADDRESS "client_address": Map<AddressPrefixes>, optional "one of these";
        /// A part of the client's certificate. Controlled by the certificate authority.
        CLIENT_CERTIFICATE "client_certificate": Choice<Property>, optional "one of these";
        /// This value, if no source before it has one. It must be the last source. Controlled by
        /// the policy.
        VALUE "value": Text<ATTRIBUTE_BYTES_MAX>, optional "one of these";
        /// The promise that a filter or proxy in front removes or overwrites this header in each
        /// request. Required with `header`.
        TRUSTED "trusted": True, optional "none";
    }
    schema vec![json!({ "if": { "required": ["header"] }, "then": { "required": ["trusted"] } })];
}

words! {
    BasicPart, "a part of Basic credentials" {
        /// The user.
        "user" => Self::User,
        /// The password.
        "password" => Self::Password,
    }
}

words! {
    Property, "a part of a client's certificate" {
        /// The subject, `CN=billing,O=Acme`.
        "subject" => Self::CertificateSubject,
        /// The first URI among the alternative names.
        "uri_san" => Self::CertificateUriSan,
        /// The first DNS name among the alternative names; Envoy exposes only the first.
        "dns_san" => Self::CertificateDnsSan,
        /// The SHA-256 of the whole certificate.
        "sha256" => Self::CertificateSha256,
    }
}

mapping! {
    /// The bits of the client's address that count: clients that share them share the value.
    AddressPrefixes "{ v4_prefix: 32, v6_prefix: 64 }" {
        /// The bits of an IPv4 address that count. All clients that share them share the value.
        V4_PREFIX "v4_prefix": Count32<0, { Ipv4Addr::BITS }>, default Ipv4Addr::BITS;
        /// The bits of an IPv6 address that count. One customer usually has a whole /64.
        V6_PREFIX "v6_prefix": Count32<0, { Ipv6Addr::BITS }>, default V6_NETWORK;
    }
}

/// A client has a whole /64 to choose addresses from.
const V6_NETWORK: u32 = 64;
