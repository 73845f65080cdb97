//! The encoding `deflate`: a zlib stream (RFC 1950), as RFC 9110 §8.4.1.2 says, or a bare deflated one
//! (RFC 1951), as "some non-conformant implementations" send it.
//!
//! The first two bytes tell: as a number they are a multiple of 31 and name the method 8 in zlib. A
//! bare stream that begins like that would be a stored block with bits set that every encoder leaves
//! clear.

use super::{Breach, Inflate, Sink, gather, number};

/// One stream; a byte behind its end is malformed.
#[derive(Default)]
pub(super) struct Deflate {
    /// The first two bytes, while they are not whole.
    first: Vec<u8>,
    inflate: Option<Inflate>,
}

impl Deflate {
    pub(super) fn feed(&mut self, mut input: &[u8], sink: Sink<'_>) -> Result<(), Breach> {
        if self.inflate.is_none() {
            if !gather(&mut self.first, &mut input, 2) {
                return Ok(());
            }
            let mut inflate = if is_zlib(&self.first) { Inflate::zlib() } else { Inflate::raw() };
            // An empty stream has ended with its second byte.
            let rest = inflate.feed(&self.first, sink)?;
            ends_with(rest)?;
            self.inflate = Some(inflate);
        }
        match &mut self.inflate {
            Some(inflate) => ends_with(inflate.feed(input, sink)?),
            None => Ok(()),
        }
    }

    pub(super) fn is_whole(&self) -> bool {
        self.inflate.as_ref().is_some_and(Inflate::has_ended)
    }
}

/// Nothing may follow the stream.
fn ends_with(rest: &[u8]) -> Result<(), Breach> {
    if rest.is_empty() { Ok(()) } else { Err(Breach::Malformed) }
}

fn is_zlib(first: &[u8]) -> bool {
    let (method, flags) = (number(first, 0, 1), number(first, 1, 1));
    method & 0x0f == 8 && method >> 4 <= 7 && ((method << 8) | flags).is_multiple_of(31)
}
