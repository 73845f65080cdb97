//! The series that are counters of Envoy: a set of hashes in shared data that only grows, since
//! Envoy forgets no counter.

use sha2::{Digest as _, Sha256};

/// The bytes of one hash.
const HASH_BYTES: usize = 16;

/// The members of the set, each a hash, in their order.
#[derive(Debug)]
pub struct Members(Vec<[u8; HASH_BYTES]>);

impl Members {
    /// Reads a set.
    #[must_use]
    pub fn decode(bytes: &[u8]) -> Self {
        Self(bytes.as_chunks().0.to_vec())
    }

    /// The set as bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        self.0.concat()
    }

    /// Whether the series with this key is a member, or becomes one. `is_new` is set in that case.
    pub fn admit(&mut self, key: &[u8], series_max: u32, is_new: &mut bool) -> bool {
        let digest = Sha256::digest(key);
        let Some(hash) = digest.first_chunk() else {
            return false;
        };
        let Err(place) = self.0.binary_search(hash) else {
            return true;
        };
        let has_place = u32::try_from(self.0.len()).is_ok_and(|count| count < series_max);
        if has_place {
            self.0.insert(place, *hash);
            *is_new = true;
        }
        has_place
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_member_stays_one_and_no_more_than_the_most_are_admitted() {
        let mut bytes = Vec::new();
        for round in 0..2 {
            for number in 0..5_u32 {
                let mut members = Members::decode(&bytes);
                let mut is_new = false;
                let is_member = members.admit(&number.to_le_bytes(), 3, &mut is_new);
                assert_eq!(is_member, number < 3);
                assert_eq!(is_new, round == 0 && number < 3);
                bytes = members.encode();
            }
        }
        assert_eq!(bytes.len(), 48);
    }
}
