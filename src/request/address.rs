//! The client's address as an attribute: clients of one network share its value.
//!
//! ```text
//!   192.0.2.7:1234          ─▶ 192.0.2.7        v4_prefix: 24 ─▶ 192.0.2.0/24
//!   [2001:db8::7]:1234      ─▶ 2001:db8::/64    v6_prefix: 128 ─▶ 2001:db8::7
//!   [::ffff:192.0.2.7]:1234 ─▶ 192.0.2.7
//! ```
//!
//! An IPv6 address into which a translator or a tunnel writes an IPv4 address is that IPv4 address:
//! else all clients of one translator would share a network, or one client would have many.
//!
//! | addresses | of | the client's IPv4 address |
//! |---|---|---|
//! | `::ffff:0:0/96` | IPv4-mapped (RFC 4291 §2.5.5.2) | the last 32 bits |
//! | `64:ff9b::/96` | NAT64 (RFC 6052) | the last 32 bits |
//! | `64:ff9b:1::/48` | NAT64 of a network's own (RFC 8215), with a /96 | the last 32 bits |
//! | `2002::/16` | 6to4 (RFC 3056): a site | the 32 bits behind the prefix |
//! | `2001::/32` | Teredo (RFC 4380) | the last 32 bits, inverted |

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The network of a client at `address` (with its port, as the proxy writes it), whose prefix has
/// `v4_prefix` or `v6_prefix` bits; a whole address is its own network. `None` if it is not an IP
/// address, as for a socket in the file system. A zone is left out.
#[must_use]
pub fn network(address: &[u8], v4_prefix: u32, v6_prefix: u32) -> Option<String> {
    let address = match of_a_peer(str::from_utf8(address).ok()?)? {
        IpAddr::V6(v6) => embedded(v6).map_or(IpAddr::V6(v6), IpAddr::V4),
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

/// The client's address (with its port, as the proxy writes it), and the same without the prefix of
/// a translator or a tunnel. `None` if it is not an IP address.
#[must_use]
pub(super) fn addresses(address: &[u8]) -> Option<[IpAddr; 2]> {
    let address = of_a_peer(str::from_utf8(address).ok()?)?;
    let inner = match address {
        IpAddr::V6(v6) => embedded(v6).map(IpAddr::V4),
        IpAddr::V4(_) => None,
    };
    Some([address, inner.unwrap_or(address)])
}

/// The IPv4 address within an IPv6 address of a translator or a tunnel.
fn embedded(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let [a, b, c, d, e, f, g, h] = address.segments();
    let from = |high: u16, low: u16| Ipv4Addr::from_bits(u32::from(high) << 16 | u32::from(low));
    match [a, b, c, d, e, f] {
        [0, 0, 0, 0, 0, 0xffff] | [0x64, 0xff9b, 0, 0, 0, 0] | [0x64, 0xff9b, 1, _, _, _] => {
            Some(from(g, h))
        }
        [0x2002, high, low, ..] => Some(from(high, low)),
        [0x2001, 0, ..] => Some(from(!g, !h)),
        _ => None,
    }
}

fn of_a_peer(address: &str) -> Option<IpAddr> {
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
            (
                "[2001:db8:0:1:2:3:4:5]:1",
                32,
                64,
                Some("2001:db8:0:1::/64"),
            ),
            ("[2001:DB8:0:1:FFFF::]:1", 32, 64, Some("2001:db8:0:1::/64")),
            ("[2001:db8::7]:1", 32, 128, Some("2001:db8::7")),
            ("[2001:db8::7]:1", 32, 127, Some("2001:db8::6/127")),
            ("[2001:db8::7]:1", 32, 0, Some("::/0")),
            ("[::1]:1", 32, 64, Some("::/64")),
            ("[::ffff:192.0.2.7]:1", 32, 64, Some("192.0.2.7")),
            ("[::ffff:192.0.2.7]:1", 24, 0, Some("192.0.2.0/24")),
            ("[64:ff9b::192.0.2.7]:1", 32, 64, Some("192.0.2.7")),
            ("[64:ff9b::c000:207]:1", 24, 128, Some("192.0.2.0/24")),
            ("[64:ff9b::1:c000:207]:1", 32, 64, Some("64:ff9b::/64")),
            ("[64:ff9b:1::192.0.2.7]:1", 32, 64, Some("192.0.2.7")),
            (
                "[64:ff9b:1:fffe::192.0.2.7%eth0]:1",
                32,
                64,
                Some("192.0.2.7"),
            ),
            ("[64:ff9b:2::192.0.2.7]:1", 32, 64, Some("64:ff9b:2::/64")),
            ("[2002:c000:207::1]:1", 32, 64, Some("192.0.2.7")),
            ("[2002:c000:207:ffff:1:2:3:4]:1", 32, 64, Some("192.0.2.7")),
            ("[2003:c000:207::1]:1", 32, 64, Some("2003:c000:207::/64")),
            (
                "[2001:0:4136:e378:8000:63bf:3fff:fdf8]:1",
                32,
                64,
                Some("192.0.2.7"),
            ),
            ("[2001:1::3fff:fdf8]:1", 32, 64, Some("2001:1::/64")),
            ("[::192.0.2.7]:1", 32, 64, Some("::/64")),
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
            assert_eq!(
                network(address.as_bytes(), v4_prefix, v6_prefix).as_deref(),
                network_is,
                "{address}"
            );
        }
        assert_eq!(network(b"\xff:1", 32, 64), None);
    }
}
