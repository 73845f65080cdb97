//! Issuers vouch for a caller's attributes: the directory for all secrets that it knows, and each
//! credential that an earlier filter has verified for its claims.

use crate::base::id::{CredentialId, Id as _};
use crate::policy::callers::Source;

/// A set of issuers: credentials, and the directory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct IssuerSet(u32);

/// Above the numbers of all credentials.
const DIRECTORY: usize = 31;

impl IssuerSet {
    pub(super) fn add(&mut self, credential: CredentialId) {
        self.0 |= bit(credential.index());
    }

    pub(super) fn is_empty(self) -> bool {
        self == Self::default()
    }

    pub(super) fn contains(self, credential: CredentialId) -> bool {
        self.0 & bit(credential.index()) != 0
    }

    /// These and the directory.
    pub(super) fn and_the_directory(self) -> Self {
        Self(self.0 | bit(DIRECTORY))
    }

    /// Whether one of these issuers vouches for `source`.
    pub(super) fn speak(self, source: &Source) -> bool {
        self.0 & bit_of(source) != 0
    }

    /// Those that have not said anything by `source`.
    pub(super) fn without(self, source: &Source) -> Self {
        Self(self.0 & !bit_of(source))
    }
}

fn bit(number: usize) -> u32 {
    u32::try_from(number)
        .ok()
        .and_then(|number| 1_u32.checked_shl(number))
        .unwrap_or_default()
}

/// The bit of the issuer that vouches for `source`; 0 if no issuer does.
fn bit_of(source: &Source) -> u32 {
    if matches!(source, Source::Directory(_)) {
        return bit(DIRECTORY);
    }
    source
        .metadata()
        .and_then(|(_, credential)| credential)
        .map_or(0, |id| bit(id.index()))
}
