//! The authority of a request in one spelling, so that each host has one value and one counter.
//!
//! It is in lower case, without user, port and final dot. An IPv6 address keeps its brackets and is
//! written as RFC 5952 says:
//!
//! ```text
//!   Shop.EXAMPLE.:8443     ─▶ shop.example
//!   [2001:DB8:0::7]:80     ─▶ [2001:db8::7]
//! ```

use std::cell::OnceCell;
use std::net::Ipv6Addr;

/// The authority of one request, read when something first asks for it.
#[derive(Debug, Default)]
pub struct Authority(OnceCell<Option<Vec<u8>>>);

impl Authority {
    /// Forgets the request.
    pub(super) fn clear(&mut self) {
        self.0.take();
    }

    /// The authority of the request, which was sent as `sent`.
    pub(super) fn of(&self, sent: &[u8]) -> Option<&[u8]> {
        self.0.get_or_init(|| normalized(sent)).as_deref()
    }
}

/// The host of `authority` in one spelling; `None` if it is empty.
#[must_use]
pub fn normalized(authority: &[u8]) -> Option<Vec<u8>> {
    let host = authority
        .trim_ascii()
        .rsplit(|byte| *byte == b'@')
        .next()
        .unwrap_or_default();
    if let Some(rest) = host.strip_prefix(b"[") {
        let literal = rest.split(|byte| *byte == b']').next().unwrap_or_default();
        let address: Option<Ipv6Addr> = str::from_utf8(literal)
            .ok()
            .and_then(|literal| literal.parse().ok());
        let literal = address.map_or_else(
            || literal.to_ascii_lowercase(),
            |address| address.to_string().into_bytes(),
        );
        return (!literal.is_empty()).then(|| [b"[", &*literal, b"]"].concat());
    }
    let mut host = host.split(|byte| *byte == b':').next().unwrap_or_default();
    while let Some(rest) = host.strip_suffix(b".") {
        host = rest;
    }
    (!host.is_empty()).then(|| host.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_has_one_spelling() {
        for (authority, expected) in [
            ("shop.example", Some("shop.example")),
            ("Shop.EXAMPLE:8443", Some("shop.example")),
            ("shop.example.", Some("shop.example")),
            ("shop.example.:80", Some("shop.example")),
            ("user:pass@shop.example:80", Some("shop.example")),
            ("a@b@shop.example", Some("shop.example")),
            ("192.0.2.7:80", Some("192.0.2.7")),
            ("[2001:DB8::0:7]:80", Some("[2001:db8::7]")),
            ("[2001:db8:0:0:0:0:0:7]", Some("[2001:db8::7]")),
            ("[v1.A]:80", Some("[v1.a]")),
            ("[fe80::1%25Eth0]", Some("[fe80::1%25eth0]")),
            ("[::1", Some("[::1]")),
            ("shop.example:", Some("shop.example")),
            ("shop:80:81", Some("shop")),
            ("", None),
            (":80", None),
            (".", None),
            ("@", None),
            ("user@:80", None),
            ("[]", None),
            ("[]:80", None),
        ] {
            let expected = expected.map(|host| host.as_bytes().to_vec());
            assert_eq!(normalized(authority.as_bytes()), expected, "{authority}");
        }
        assert_eq!(normalized(b"\xff\xfeA"), Some(b"\xff\xfea".to_vec()));
    }
}
