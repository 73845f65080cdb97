//! Brotli (RFC 7932), with windows of up to 16 MiB. A stream with the "large window", which no RFC
//! defines, is malformed.

use brotli_decompressor::{BrotliDecompressStream, BrotliResult, BrotliState, SliceWrapper as _};

mod memory;

use super::{Breach, SLICE_MAX, Step};
use crate::payload::work::Work;
use memory::{CountingAllocator, Memory};

type State = BrotliState<CountingAllocator, CountingAllocator, CountingAllocator>;

/// The most bytes of input for one call of the library.
const PIECE_BYTES: usize = 256;
const HEADER_BYTES: usize = 32;

/// The library replaces 255, the largest bound of the transform of context maps, with another
/// value, and never leaves it behind. So a bound of 256 shows that a map was transformed. For each
/// entry of the map, up to that many others move.
const NO_TRANSFORM: u32 = 256;
/// Moved entries per unit of work. In real streams, far fewer than the bound move.
const CONTEXTS_MOVED: u64 = 8;

/// The largest allocation that is allowed under every limit: additions to windows, and context
/// maps.
const WINDOW_MIN: usize = 64 * 1024;

/// Allocated bytes per unit of work.
const BYTES_ALLOCATED: u64 = 8;
/// The work of a call, and of each byte.
const CALL: u64 = 1_500;
const BYTE_IN: u64 = 30;
const BYTE_OUT: u64 = 4;

/// One stream; bytes after its end are malformed.
#[derive(Default)]
pub(crate) struct Brotli {
    state: Option<Box<State>>,
    memory: Memory,
    has_ended: bool,
    /// The most bytes that may be decoded.
    limit: u64,
}

impl Brotli {
    pub(super) fn new(limit: u64) -> Self {
        Self {
            limit,
            ..Self::default()
        }
    }

    pub(super) fn step(
        &mut self,
        input: &mut &[u8],
        out: &mut Vec<u8>,
        work: &mut Work,
    ) -> Result<Step, Breach> {
        let Self {
            state,
            memory,
            has_ended,
            limit,
        } = self;
        let state = state.get_or_insert_with(|| begin(memory, *limit));
        out.resize(SLICE_MAX, 0);
        let (mut free, mut written, mut total) = (out.len(), 0, 0);
        let step = loop {
            if *has_ended {
                break if input.is_empty() {
                    Ok(Step::NeedsInput)
                } else {
                    Err(Breach::Malformed)
                };
            }
            // As long as there is no output, the library reads headers, and a few bytes of those
            // can be much work.
            let bytes_max = if written > 0 {
                PIECE_BYTES
            } else {
                HEADER_BYTES
            };
            let piece = input.get(..bytes_max).unwrap_or(input);
            state.mtf_upper_bound = NO_TRANSFORM;
            let (mut left, mut read, before) = (piece.len(), 0, written);
            let allocated = memory.allocated();
            let result = BrotliDecompressStream(
                &mut left,
                &mut read,
                piece,
                &mut free,
                &mut written,
                out,
                &mut total,
                state,
            );
            *input = input.get(read..).unwrap_or_default();
            // Calls with a single byte are due to the client's chunks; they are not work hidden in
            // the stream.
            work.add_to_slice(CALL);
            work.add_to_slice(memory.allocated().saturating_sub(allocated) / BYTES_ALLOCATED);
            work.add_bytes(read, BYTE_IN);
            add_transform(state, work);
            work.add_bytes(written.saturating_sub(before), BYTE_OUT);
            match result {
                BrotliResult::ResultSuccess => *has_ended = true,
                BrotliResult::NeedsMoreInput if input.is_empty() => break Ok(Step::NeedsInput),
                BrotliResult::NeedsMoreInput if read > 0 => {}
                BrotliResult::NeedsMoreOutput if written > 0 => break Ok(Step::Continue),
                BrotliResult::ResultFailure if memory.was_refused() => break Err(Breach::Over),
                BrotliResult::NeedsMoreInput
                | BrotliResult::NeedsMoreOutput
                | BrotliResult::ResultFailure => {
                    break Err(Breach::Malformed);
                }
            }
            if work.is_due() {
                break Ok(Step::Continue);
            }
        };
        out.truncate(written);
        step
    }

    pub(super) const fn is_whole(&self) -> bool {
        self.has_ended
    }

    pub(super) fn memory(&self) -> usize {
        self.memory.held().saturating_add(if self.state.is_some() {
            size_of::<State>()
        } else {
            0
        })
    }
}

/// The library's state at the start of a stream.
fn begin(memory: &Memory, limit: u64) -> Box<State> {
    // The window is at most twice the size that the blocks so far announce, and all of that is
    // output.
    let bytes_max = usize::try_from(limit.saturating_mul(2))
        .unwrap_or(usize::MAX)
        .max(WINDOW_MIN);
    Box::new(State::new_strict(
        memory.allocator(bytes_max),
        memory.allocator(usize::MAX),
        memory.allocator(usize::MAX),
    ))
}

/// The work of the transform of a context map, if the last call made one.
fn add_transform(state: &State, work: &mut Work) {
    if state.mtf_upper_bound != NO_TRANSFORM {
        let distance = u64::from(state.mtf_upper_bound) / CONTEXTS_MOVED;
        work.add_bytes(state.context_map.slice().len(), distance.saturating_add(1));
    }
}
