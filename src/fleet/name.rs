//! The name of a shared counter.

use sha2::{Digest as _, Sha256};

use super::take::CounterName;

/// Makes the name of one counter, value by value.
#[derive(Clone, Debug)]
pub struct CounterNameMaker(Sha256);

impl CounterNameMaker {
    /// Begins the name of a counter of the limit that `identity` names.
    #[must_use]
    pub fn new(identity: &[u8]) -> Self {
        let mut maker = Self(Sha256::new());
        maker.push(Some(identity));
        maker
    }

    /// Adds one value; `None`, if a caller has none, differs from every value.
    pub fn push(&mut self, value: Option<&[u8]>) {
        // The length keeps ("ab", "c") apart from ("a", "bc"), and absent apart from empty.
        let length = value.map_or(u64::MAX, |value| {
            u64::try_from(value.len()).unwrap_or(u64::MAX)
        });
        self.0.update(length.to_le_bytes());
        self.0.update(value.unwrap_or_default());
    }

    /// The finished name.
    #[must_use]
    pub fn finish(self) -> CounterName {
        let digest: [u8; 32] = self.0.finalize().into();
        let half = digest.first_chunk().copied();
        CounterName(half.unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(values: &[Option<&[u8]>]) -> CounterName {
        let mut maker = CounterNameMaker::new(b"shop\0org");
        for value in values {
            maker.push(*value);
        }
        maker.finish()
    }

    #[test]
    fn values_and_their_borders_make_the_name() {
        let one = name(&[Some(b"ab"), Some(b"c")]);
        assert_eq!(one, name(&[Some(b"ab"), Some(b"c")]));
        for other in [
            &[Some(b"a".as_slice()), Some(b"bc")][..],
            &[Some(b"abc")],
            &[Some(b"ab"), Some(b"c"), None],
            &[Some(b"ab"), Some(b"c"), Some(b"")],
        ] {
            assert_ne!(one, name(other));
        }
        assert_ne!(name(&[None]), name(&[Some(b"")]));
    }
}
