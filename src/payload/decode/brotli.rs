//! Brotli (RFC 7932), with windows of up to 16 MiB; the "large window" that no RFC knows is malformed.

use brotli_decompressor::{BrotliDecompressStream, BrotliResult, BrotliState, HuffmanCode, StandardAlloc};

use super::{Breach, SLICE_MAX, Sink};

type State = BrotliState<StandardAlloc, StandardAlloc, StandardAlloc>;

const WORK_BYTES: usize = 16 * 1024;
const _: () = assert!(WORK_BYTES <= SLICE_MAX && size_of::<HuffmanCode>() == 4, "what the table of memory says");

/// One stream; a byte behind its end is malformed.
#[derive(Default)]
pub(super) struct Brotli {
    open: Option<(Box<State>, Box<[u8]>)>,
    has_ended: bool,
}

impl Brotli {
    pub(super) fn feed(&mut self, input: &[u8], sink: Sink<'_>) -> Result<(), Breach> {
        let (state, work) = self.open.get_or_insert_with(|| {
            let alloc = StandardAlloc::default;
            (Box::new(State::new_strict(alloc(), alloc(), alloc())), vec![0; WORK_BYTES].into_boxed_slice())
        });
        let (mut left, mut read) = (input.len(), 0);
        while !self.has_ended {
            let (mut free, mut written, mut total) = (work.len(), 0, 0);
            let result =
                BrotliDecompressStream(&mut left, &mut read, input, &mut free, &mut written, work, &mut total, state);
            if written > 0 {
                sink(work.get(..written).ok_or(Breach::Malformed)?)?;
            }
            match result {
                BrotliResult::ResultSuccess => self.has_ended = true,
                BrotliResult::NeedsMoreInput if left == 0 => return Ok(()),
                BrotliResult::NeedsMoreOutput if written > 0 => {}
                BrotliResult::NeedsMoreInput | BrotliResult::NeedsMoreOutput | BrotliResult::ResultFailure => {
                    return Err(Breach::Malformed);
                }
            }
        }
        if left == 0 { Ok(()) } else { Err(Breach::Malformed) }
    }

    pub(super) const fn is_whole(&self) -> bool {
        self.has_ended
    }
}
