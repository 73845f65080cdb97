//! A header map as the host hands it over: one block of bytes, read in place.
//!
//! ```text
//!   count ┆ (name length, value length) × count ┆ name NUL value NUL …
//! ```
//!
//! The count and the lengths are u32, little-endian.
//!
//! Values are bytes: a client may send any but NUL, CR and LF. Reading the whole map costs about
//! as much as reading one and a half headers by name, and only it shows repeated ones.

use std::fmt;

/// All headers of one message.
#[derive(Clone, Default)]
pub struct Headers {
    block: Vec<u8>,
}

impl fmt::Debug for Headers {
    /// The size alone: headers hold credentials.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Headers({} bytes)", self.block.len())
    }
}

impl Headers {
    /// Takes the host's block. A malformed block reads as far as it is well-formed.
    #[must_use]
    pub const fn new(block: Vec<u8>) -> Self {
        Self { block }
    }

    /// The block for these pairs, as the host would write it.
    #[must_use]
    pub fn encode(pairs: &[(&str, &[u8])]) -> Vec<u8> {
        let size = |text: &[u8]| u32::try_from(text.len()).unwrap_or(u32::MAX).to_le_bytes();
        let mut block = u32::try_from(pairs.len())
            .unwrap_or(u32::MAX)
            .to_le_bytes()
            .to_vec();
        for (name, value) in pairs {
            block.extend(size(name.as_bytes()));
            block.extend(size(value));
        }
        for (name, value) in pairs {
            block.extend_from_slice(name.as_bytes());
            block.push(0);
            block.extend_from_slice(value);
            block.push(0);
        }
        block
    }

    /// All pairs, in the order of the message. Envoy gives names in lower case.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        let (count, rest) = split_u32(&self.block).unwrap_or_default();
        let (sizes, mut text) = rest
            .split_at_checked(count.saturating_mul(8))
            .unwrap_or_default();
        sizes.as_chunks::<8>().0.iter().map_while(move |sizes| {
            let (name_size, value_size) = split_u32(sizes)?;
            let (value_size, _) = split_u32(value_size)?;
            let (name, rest) = text.split_at_checked(name_size)?;
            let (value, rest) = rest.get(1..)?.split_at_checked(value_size)?;
            text = rest.get(1..)?;
            Some((name, value))
        })
    }

    /// The values of all headers of this name, which must be in lower case.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
        self.iter()
            .filter(move |(known, _)| *known == name.as_bytes())
            .map(|(_, value)| value)
    }

    /// The value of the first header of this name.
    #[must_use]
    pub fn first<'a>(&'a self, name: &'a str) -> Option<&'a [u8]> {
        self.all(name).next()
    }

    /// The values of the first header of each name, in one pass; empty for a name that is absent.
    #[must_use]
    pub fn firsts<const N: usize>(&self, names: [&str; N]) -> [&[u8]; N] {
        let mut values = [None; N];
        for (known, value) in self.iter() {
            let asked = names.iter().zip(&mut values);
            for (_, found) in asked.filter(|(name, _)| name.as_bytes() == known) {
                found.get_or_insert(value);
            }
        }
        values.map(Option::unwrap_or_default)
    }
}

fn split_u32(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let (number, rest) = bytes.split_first_chunk::<4>()?;
    Some((usize::try_from(u32::from_le_bytes(*number)).ok()?, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_reads_back_as_it_was_written() {
        let pairs: [(&str, &[u8]); 4] = [
            (":path", b"/v2"),
            ("x-api-key", b"\xff\xfe"),
            ("empty", b""),
            ("x-api-key", b"b"),
        ];
        let headers = Headers::new(Headers::encode(&pairs));
        assert!(
            headers
                .iter()
                .eq(pairs.iter().map(|(name, value)| (name.as_bytes(), *value)))
        );
        assert!(headers.all("x-api-key").eq([&b"\xff\xfe"[..], b"b"]));
        assert_eq!(headers.first("none"), None);
        assert_eq!(
            headers.firsts(["x-api-key", "none", ":path"]),
            [&b"\xff\xfe"[..], b"", b"/v2"]
        );
    }

    #[test]
    fn a_broken_block_reads_as_far_as_it_goes() {
        let block = Headers::encode(&[("a", b"1"), ("b", b"2")]);
        for end in 0..block.len() {
            assert!(Headers::new(block[..end].to_vec()).iter().count() <= 2);
        }
        assert_eq!(Headers::new(vec![255; 64]).iter().count(), 0);
        assert_eq!(Headers::default().iter().count(), 0);
    }
}
