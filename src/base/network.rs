//! Networks of IP addresses: `192.0.2.0/24`, `2001:db8::/32`, or one address.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The addresses that share the first bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Network {
    /// With zeros after the prefix.
    address: IpAddr,
    prefix: u32,
}

/// The rule that the text of a network breaks; `Display` states the rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NetworkError {
    /// Not an address with or without a prefix.
    Form,
    /// Bits are set after the prefix: this network is meant, or another prefix.
    HostBits(Network),
}

impl Network {
    /// The network that is written as `text`.
    ///
    /// # Errors
    /// The rule that it breaks.
    pub fn parse(text: &str) -> Result<Self, NetworkError> {
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| NetworkError::Form)?;
        let bits = match address {
            IpAddr::V4(_) => Ipv4Addr::BITS,
            IpAddr::V6(_) => Ipv6Addr::BITS,
        };
        let prefix = match prefix {
            Some(digits) if digits.bytes().all(|byte| byte.is_ascii_digit()) => {
                digits.parse().map_err(|_| NetworkError::Form)?
            }
            Some(_) => return Err(NetworkError::Form),
            None => bits,
        };
        if prefix > bits {
            return Err(NetworkError::Form);
        }
        let network = Self {
            address: cut(address, prefix),
            prefix,
        };
        if network.address == address {
            Ok(network)
        } else {
            Err(NetworkError::HostBits(network))
        }
    }

    /// Whether `address` is one of these.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        address.is_ipv4() == self.address.is_ipv4() && cut(address, self.prefix) == self.address
    }
}

/// The address with zeros after its first `prefix` bits.
fn cut(address: IpAddr, prefix: u32) -> IpAddr {
    match address {
        IpAddr::V4(v4) => {
            let rest = u32::MAX.checked_shr(prefix).unwrap_or(0);
            IpAddr::V4(Ipv4Addr::from_bits(v4.to_bits() & !rest))
        }
        IpAddr::V6(v6) => {
            let rest = u128::MAX.checked_shr(prefix).unwrap_or(0);
            IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & !rest))
        }
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix)
    }
}

impl fmt::Display for NetworkError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Form => {
                f.write_str("is not a network, such as 192.0.2.0/24, 2001:db8::/32 or 192.0.2.7")
            }
            Self::HostBits(network) => {
                write!(f, "has bits after its prefix: write {network}")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_contains_the_addresses_that_share_its_prefix() {
        for (network, address, is_in) in [
            ("192.0.2.0/24", "192.0.2.255", true),
            ("192.0.2.0/24", "192.0.3.0", false),
            ("192.0.2.7", "192.0.2.7", true),
            ("192.0.2.7/32", "192.0.2.6", false),
            ("0.0.0.0/0", "198.51.100.1", true),
            ("0.0.0.0/0", "::1", false),
            ("::/0", "192.0.2.7", false),
            ("::/0", "2001:db8::7", true),
            ("2001:db8::/32", "2001:db8:ffff::1", true),
            ("2001:db8::/32", "2001:db9::", false),
            ("2001:db8::7", "2001:db8::7", true),
        ] {
            let parsed = Network::parse(network).unwrap();
            assert_eq!(
                parsed.contains(address.parse().unwrap()),
                is_in,
                "{network} {address}"
            );
        }
    }

    #[test]
    fn a_network_has_no_bits_after_its_prefix() {
        for (text, error) in [
            ("", None),
            ("192.0.2", None),
            ("192.0.2.0/33", None),
            ("192.0.2.0/", None),
            ("192.0.2.0/+24", None),
            ("192.0.2.0/24/8", None),
            ("::/129", None),
            ("fe80::1%eth0", None),
            ("[::1]", None),
            (
                "192.0.2.7/24",
                Some("has bits after its prefix: write 192.0.2.0/24"),
            ),
            (
                "2001:db8::1/64",
                Some("has bits after its prefix: write 2001:db8::/64"),
            ),
        ] {
            let found = Network::parse(text).unwrap_err();
            let form = "is not a network, such as 192.0.2.0/24, 2001:db8::/32 or 192.0.2.7";
            assert_eq!(found.to_string(), error.unwrap_or(form), "{text}");
        }
    }
}
