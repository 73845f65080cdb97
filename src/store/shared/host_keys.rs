//! The keys under which the host stores the secret and the pages.

use crate::host::fault::Fault;
use crate::host::shared::SharedData;
use crate::host::shared::cell::SharedCell;
use crate::store::key::Secret;

const KEY_BYTES: usize = 15;

/// The number of the form that pages and records have. A build that stores another form has another
/// number, so that it never reads these.
const FORMAT: u8 = if cfg!(feature = "other-format") {
    255
} else {
    4
};

const SECRET_KEY: &[u8] = b"sluicegate.sec1";

const _: () = assert!(
    SECRET_KEY.len() == KEY_BYTES,
    "it cannot be the key of a page: those begin otherwise"
);

/// Returns the proxy's secret. It is `candidate` unless a worker has stored one before.
///
/// # Errors
/// [`Fault`] if the host fails.
pub fn secret<D: SharedData>(data: &D, candidate: &Secret) -> Result<Secret, Fault> {
    SharedCell::new(data, SECRET_KEY).get_or_init(candidate)
}

/// Fifteen bytes, which the host's strings hold without an allocation. The first three name us
/// and [`FORMAT`].
pub(super) fn page_key(table: [u8; 8], number: u32) -> [u8; KEY_BYTES] {
    let [t0, t1, t2, t3, t4, t5, t6, t7] = table;
    let [n0, n1, n2, n3] = number.to_le_bytes();
    [
        b's', b'g', FORMAT, t0, t1, t2, t3, t4, t5, t6, t7, n0, n1, n2, n3,
    ]
}

/// The table of one policy: its name, hashed with a fixed key.
pub(super) fn table_of(name: &str) -> [u8; 8] {
    use std::hash::Hasher as _;
    let mut hasher = siphasher::sip::SipHasher13::new();
    hasher.write(name.as_bytes());
    hasher.finish().to_le_bytes()
}
