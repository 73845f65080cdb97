//! Brotli (RFC 7932), with windows of up to 16 MiB; the "large window" that no RFC knows is malformed.

use brotli_decompressor::{BrotliDecompressStream, BrotliResult, BrotliState};

mod memory;

use super::{Breach, SLICE_MAX, Step};
use crate::payload::work::Work;
use memory::{Cells, Memory};

type State = BrotliState<Cells, Cells, Cells>;

/// Bytes that are handed over at once.
const PIECE_BYTES: usize = 256;

/// Whatever the limit, the library gets so much at once: what it adds to windows, and maps of contexts.
const WINDOW_LEAST: usize = 64 * 1024;

/// How many bytes of memory are allocated in a unit of work.
const BYTES_ALLOCATED: u64 = 8;
/// The work of a call, and of each byte.
const CALL: u64 = 1_500;
const BYTE_IN: u64 = 30;
const BYTE_OUT: u64 = 4;

/// One stream; a byte behind its end is malformed.
#[derive(Default)]
pub(crate) struct Brotli {
    state: Option<Box<State>>,
    memory: Memory,
    has_ended: bool,
    /// The most bytes that may come out.
    limit: u64,
}

impl Brotli {
    pub(super) fn new(limit: u64) -> Self {
        Self { limit, ..Self::default() }
    }

    pub(super) fn step(&mut self, input: &mut &[u8], out: &mut Vec<u8>, work: &mut Work) -> Result<Step, Breach> {
        let Self { state, memory, has_ended, limit } = self;
        let state = state.get_or_insert_with(|| {
            // The window is at most twice what the blocks so far announce, all of which comes out.
            let most = usize::try_from(limit.saturating_mul(2)).unwrap_or(usize::MAX).max(WINDOW_LEAST);
            Box::new(State::new_strict(memory.cells(most), memory.cells(usize::MAX), memory.cells(usize::MAX)))
        });
        out.resize(SLICE_MAX, 0);
        let (mut free, mut written, mut total) = (out.len(), 0, 0);
        let step = loop {
            if *has_ended {
                break if input.is_empty() { Ok(Step::Hungry) } else { Err(Breach::Malformed) };
            }
            let piece = input.get(..PIECE_BYTES).unwrap_or(input);
            let (mut left, mut read, before) = (piece.len(), 0, written);
            let asked = memory.asked();
            let result =
                BrotliDecompressStream(&mut left, &mut read, piece, &mut free, &mut written, out, &mut total, state);
            *input = input.get(read..).unwrap_or_default();
            // A call for a single byte is what the client sends, and no work that it hides.
            work.add_once(CALL);
            work.add_once(memory.asked().saturating_sub(asked) / BYTES_ALLOCATED);
            work.add_bytes(read, BYTE_IN);
            work.add_bytes(written.saturating_sub(before), BYTE_OUT);
            match result {
                BrotliResult::ResultSuccess => *has_ended = true,
                BrotliResult::NeedsMoreInput if input.is_empty() => break Ok(Step::Hungry),
                BrotliResult::NeedsMoreInput if read > 0 => {}
                BrotliResult::NeedsMoreOutput if written > 0 => break Ok(Step::More),
                BrotliResult::ResultFailure if memory.was_refused() => break Err(Breach::Over),
                BrotliResult::NeedsMoreInput | BrotliResult::NeedsMoreOutput | BrotliResult::ResultFailure => {
                    break Err(Breach::Malformed);
                }
            }
            if work.is_due() {
                break Ok(Step::More);
            }
        };
        out.truncate(written);
        step
    }

    pub(super) const fn is_whole(&self) -> bool {
        self.has_ended
    }

    pub(super) fn memory(&self) -> usize {
        self.memory.held().saturating_add(if self.state.is_some() { size_of::<State>() } else { 0 })
    }
}
