//! Properties of a request outside of its head: a closed set, so that each property is read by
//! name, and only if a policy needs it.

/// One thing that a proxy knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Property {
    /// Metadata from the filters before this one (`envoy.config.core.v3.Metadata`).
    Metadata,
    /// Metadata of the chosen route, from the configuration (the same message).
    RouteMetadata,
    /// The proxy itself (`envoy.config.core.v3.Node`): some 60 KB, the same for all requests.
    Node,
    /// The client's address and port, as the proxy determined them: `192.0.2.7:1234`.
    SourceAddress,
    /// The subject of the client's certificate: `CN=billing,O=Acme`.
    CertificateSubject,
    /// Its first URI among the alternative names.
    CertificateUriSan,
    /// Its first DNS name among them.
    CertificateDnsSan,
    /// The SHA-256 of the whole certificate, in hexadecimal digits.
    CertificateSha256,
}

impl Property {
    /// All of them, each at its own index.
    pub const ALL: [Self; 8] = [
        Self::Metadata,
        Self::RouteMetadata,
        Self::Node,
        Self::SourceAddress,
        Self::CertificateSubject,
        Self::CertificateUriSan,
        Self::CertificateDnsSan,
        Self::CertificateSha256,
    ];

    /// This property's place in [`Property::ALL`].
    #[must_use]
    pub const fn index(self) -> usize {
        self as usize
    }
}

/// A set of properties.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PropertySet(u8);

const _: () = assert!(Property::ALL.len() <= 8, "a bit for each");

impl PropertySet {
    /// Adds one.
    pub const fn add(&mut self, property: Property) {
        self.0 |= 1 << property.index();
    }

    /// Whether it is one of them.
    #[must_use]
    pub const fn contains(self, property: Property) -> bool {
        self.0 & (1 << property.index()) != 0
    }

    /// Those in the set, in the order of [`Property::ALL`].
    pub fn iter(self) -> impl Iterator<Item = Property> {
        Property::ALL
            .into_iter()
            .filter(move |property| self.contains(*property))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_property_is_in_a_set_by_itself() {
        for (index, property) in Property::ALL.into_iter().enumerate() {
            assert_eq!(property.index(), index);
            let mut set = PropertySet::default();
            set.add(property);
            assert_eq!(set.iter().collect::<Vec<_>>(), [property]);
        }
    }
}
