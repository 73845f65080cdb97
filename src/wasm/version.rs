//! The version, as a custom section that `sluicegate version` reads.

use crate::base::version::BUILD;

const BYTES: [u8; BUILD.len()] = {
    let mut bytes = [0; BUILD.len()];
    bytes.copy_from_slice(BUILD.as_bytes());
    bytes
};

// The name is `base::version::SECTION`; an attribute takes no constant.
#[used]
#[unsafe(link_section = "sluicegate.version")]
static SECTION: [u8; BYTES.len()] = BYTES;
