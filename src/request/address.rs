//! The client's address as an attribute: who shares a network shares its value.
//!
//! ```text
//!   192.0.2.7:1234          ─▶ 192.0.2.7        v4_prefix: 24 ─▶ 192.0.2.0/24
//!   [2001:db8::7]:1234      ─▶ 2001:db8::/64    v6_prefix: 128 ─▶ 2001:db8::7
//!   [::ffff:192.0.2.7]:1234 ─▶ 192.0.2.7
//! ```

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The network of a client at `address` (with its port, as the proxy writes it), whose prefix has as
/// many bits; a whole address stands for itself. `None` if it is no IP address, as that of a socket
/// in the file system. An IPv4 address in IPv6's form is the IPv4 address, and a zone is left out.
#[must_use]
pub fn network(address: &[u8], v4_prefix: u32, v6_prefix: u32) -> Option<String> {
    let address = match host(str::from_utf8(address).ok()?)? {
        IpAddr::V6(v6) => v6.to_ipv4_mapped().map_or(IpAddr::V6(v6), IpAddr::V4),
        v4 @ IpAddr::V4(_) => v4,
    };
    Some(match address {
        IpAddr::V4(v4) if v4_prefix >= Ipv4Addr::BITS => v4.to_string(),
        IpAddr::V6(v6) if v6_prefix >= Ipv6Addr::BITS => v6.to_string(),
        IpAddr::V4(v4) => {
            let rest = u32::MAX.checked_shr(v4_prefix).unwrap_or(0);
            format!("{}/{v4_prefix}", Ipv4Addr::from_bits(v4.to_bits() & !rest))
        }
        IpAddr::V6(v6) => {
            let rest = u128::MAX.checked_shr(v6_prefix).unwrap_or(0);
            format!("{}/{v6_prefix}", Ipv6Addr::from_bits(v6.to_bits() & !rest))
        }
    })
}

fn host(address: &str) -> Option<IpAddr> {
    if let Some(rest) = address.strip_prefix('[') {
        let (host, _) = rest.split_once(']')?;
        let host = host.split_once('%').map_or(host, |(host, _)| host);
        return host.parse().ok().map(IpAddr::V6);
    }
    address.rsplit_once(':')?.0.parse().ok().map(IpAddr::V4)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_has_one_spelling() {
        for (address, v4_prefix, v6_prefix, network_is) in [
            ("192.0.2.7:1234", 32, 64, Some("192.0.2.7")),
            ("192.0.2.7:0", 24, 64, Some("192.0.2.0/24")),
            ("192.0.2.255:1", 31, 64, Some("192.0.2.254/31")),
            ("192.0.2.7:1", 0, 64, Some("0.0.0.0/0")),
            ("[2001:db8:0:1:2:3:4:5]:1", 32, 64, Some("2001:db8:0:1::/64")),
            ("[2001:DB8:0:1:FFFF::]:1", 32, 64, Some("2001:db8:0:1::/64")),
            ("[2001:db8::7]:1", 32, 128, Some("2001:db8::7")),
            ("[2001:db8::7]:1", 32, 127, Some("2001:db8::6/127")),
            ("[2001:db8::7]:1", 32, 0, Some("::/0")),
            ("[::1]:1", 32, 64, Some("::/64")),
            ("[::ffff:192.0.2.7]:1", 32, 64, Some("192.0.2.7")),
            ("[::ffff:192.0.2.7]:1", 24, 0, Some("192.0.2.0/24")),
            ("[fe80::1%eth0]:1", 32, 128, Some("fe80::1")),
            ("[fe80::1%3]:1", 32, 64, Some("fe80::/64")),
            ("", 32, 64, None),
            ("192.0.2.7", 32, 64, None),
            ("192.0.2.256:1", 32, 64, None),
            ("192.0.2.07:1", 32, 64, None),
            ("[::1", 32, 64, None),
            ("[192.0.2.7]:1", 32, 64, None),
            ("/run/client.sock", 32, 64, None),
            ("@/abstract:7", 32, 64, None),
            ("envoy://internal/1:2", 32, 64, None),
        ] {
            assert_eq!(network(address.as_bytes(), v4_prefix, v6_prefix).as_deref(), network_is, "{address}");
        }
        assert_eq!(network(b"\xff:1", 32, 64), None);
    }
}
