//! The size of a body once everything is unpacked: its content encodings, then the archive or the
//! gzip file.
//!
//! ```text
//! Content-Encoding: gzip, br          the last one applied is decoded first
//!
//! chunk ─▶ br ─▶ gzip ─▶ readers
//!                   └─▶ first bytes? ─┬▶ PK…   ZIP: the sum of its entries
//!                                     ├▶ 1f 8b gzip file: its inflated bytes
//!                                     └▶ else: the bytes themselves
//! ```
//!
//! Each of these is a stage with an input buffer of at most one slice. The last stage that can
//! continue always runs first: so no stage accumulates its output, and the work can pause after any
//! step.
//!
//! One limit applies to the output of each stage, so that no stage hides another; only the output
//! of the last one adds to the work that the body may cost (decision 0020). Files are unpacked one
//! level deep: an archive within an archive, or a gzip file within a gzip file, counts as its own
//! bytes. Nested content encodings are all decoded.

mod content;

use super::body::Progress;
use super::decode::{Breach, Codec, Encodings, SLICE_MAX, Step, count_up};
use super::slice::Slice;
use super::work::Work;
use content::Content;

/// Whether files are unpacked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Files {
    /// A ZIP archive or a gzip file has the size of its unpacked content.
    Unpack,
    /// Files have the size of their own bytes.
    Leave,
}

/// Measures one body.
pub struct DecodedSize {
    /// From the encoding that was applied last to the one that was applied first; never empty.
    stages: Vec<Stage>,
    content: Content,
    /// Input for the content.
    buffer: Buffer,
    limit: u64,
    /// The work that the readers do for each byte.
    reader_units: u64,
    work: Work,
    broken: Option<Breach>,
}

/// One encoding.
struct Stage {
    codec: Codec,
    buffer: Buffer,
    /// Whether it has received any byte.
    has_begun: bool,
    /// Bytes taken.
    taken: u64,
    /// Bytes put out.
    bytes: u64,
}

/// The input that a stage has not taken yet.
#[derive(Default)]
struct Buffer {
    bytes: Vec<u8>,
    taken: usize,
    /// Whether the stage can continue without input.
    can_continue: bool,
}

impl Stage {
    fn new(codec: Codec) -> Self {
        Self {
            codec,
            buffer: Buffer::default(),
            has_begun: false,
            taken: 0,
            bytes: 0,
        }
    }
}

impl Buffer {
    fn is_done(&self) -> bool {
        !self.can_continue && self.taken >= self.bytes.len()
    }

    fn rest(&self) -> &[u8] {
        self.bytes.get(self.taken..).unwrap_or_default()
    }

    /// Records how much of the input a step left.
    fn after_step(&mut self, left: usize, step: Step) {
        self.taken = self.bytes.len().saturating_sub(left);
        self.can_continue = step == Step::Continue;
    }
}

/// Reads a body after its content encodings were decoded.
pub type Reader<'r, E> = &'r mut dyn FnMut(&[u8]) -> Result<(), E>;

impl DecodedSize {
    /// Measures a body of which no stage may put out more than `limit` bytes. The `seed` is a
    /// secret, as in [`Zip::new`](super::zip::Zip::new).
    #[must_use]
    pub fn new(encodings: &Encodings, files: Files, limit: u64, seed: [u8; 16]) -> Self {
        let applied = encodings.applied();
        let mut stages: Vec<Stage> = applied
            .iter()
            .rev()
            .map(|encoding| Stage::new(Codec::new(*encoding, limit)))
            .collect();
        if stages.is_empty() {
            stages.push(Stage::new(Codec::Identity));
        }
        let content = Content::new(files, limit, seed);
        Self {
            stages,
            content,
            buffer: Buffer::default(),
            limit,
            reader_units: 0,
            work: Work::default(),
            broken: None,
        }
    }

    /// Adds the work that readers do for each byte.
    #[must_use]
    pub(crate) const fn with_readers(mut self, byte_units: u64) -> Self {
        self.reader_units = byte_units;
        self
    }

    /// Takes the next bytes of the body. [`DecodedSize::advance`] decodes them.
    pub fn offer(&mut self, chunk: &[u8]) {
        if let Some(stage) = self.stages.first_mut() {
            stage.has_begun |= !chunk.is_empty();
            stage.buffer.bytes.extend_from_slice(chunk);
        }
    }

    /// Decodes the offered bytes and passes the decoded body to `reader`, until nothing is left or
    /// the slice is used up.
    ///
    /// # Errors
    /// The breach, now and on every later call, or the error of `reader`.
    pub fn advance<E: From<Breach>>(
        &mut self,
        slice: &mut Slice,
        reader: Reader<'_, E>,
    ) -> Result<Progress, E> {
        loop {
            self.check()?;
            if slice.is_used_up() && self.can_continue() {
                return Ok(Progress::Pending);
            }
            let done = self.work.done();
            self.work.begin_step();
            let stepped = self.step(reader);
            slice.charge(self.work.done().saturating_sub(done));
            match stepped {
                Ok(true) => {}
                Ok(false) => return Ok(Progress::Idle),
                Err(stop) => {
                    self.broken = Some(stop.breach);
                    return Err(stop.error);
                }
            }
            if self.is_excessive() {
                self.broken = Some(Breach::Malformed);
            }
        }
    }

    /// The size at the end of the body.
    ///
    /// # Errors
    /// [`Breach::Malformed`] if it ended too soon, or the earlier breach.
    pub fn finish(&self) -> Result<u64, Breach> {
        self.check()?;
        let is_whole = self
            .stages
            .iter()
            .all(|stage| !stage.has_begun || stage.codec.is_whole());
        if !is_whole {
            return Err(Breach::Malformed);
        }
        self.content.finish()?;
        Ok(self.bytes())
    }

    /// The most bytes that any stage has put out so far.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.stages
            .iter()
            .map(|stage| stage.bytes)
            .fold(self.content.unpacked().unwrap_or_default(), u64::max)
    }

    /// The memory that it holds, approximately, in bytes.
    #[must_use]
    pub fn memory(&self) -> usize {
        let stages = self.stages.iter().map(|stage| {
            stage
                .codec
                .memory()
                .saturating_add(stage.buffer.bytes.capacity())
                .saturating_add(size_of::<Stage>())
        });
        stages.fold(
            self.content
                .memory()
                .saturating_add(self.buffer.bytes.capacity()),
            usize::saturating_add,
        )
    }

    fn check(&self) -> Result<(), Breach> {
        self.broken.map_or(Ok(()), Err)
    }

    /// Whether any stage can continue.
    fn can_continue(&self) -> bool {
        !self.buffer.is_done() || self.stages.iter().any(|stage| !stage.buffer.is_done())
    }

    /// Whether the work exceeds the bound by the bytes taken and the bytes put out by the last
    /// stage.
    fn is_excessive(&self) -> bool {
        let sent = self.stages.first().map_or(0, |stage| stage.taken);
        let plain = self.stages.last().map_or(0, |stage| stage.bytes);
        self.work.is_excessive(
            sent,
            self.content.content_bytes().unwrap_or(plain),
            self.reader_units,
        )
    }

    /// Runs one step of the last stage that can continue; returns whether there was one.
    fn step<E: From<Breach>>(&mut self, reader: Reader<'_, E>) -> Result<bool, Stop<E>> {
        if !self.buffer.is_done() {
            let mut rest = self.buffer.rest();
            let step = self.content.step(&mut rest, &mut self.work)?;
            let left = rest.len();
            self.buffer.after_step(left, step);
            return Ok(true);
        }
        let Some(at) = self
            .stages
            .iter()
            .rposition(|stage| !stage.buffer.is_done())
        else {
            self.free_buffers();
            return Ok(false);
        };
        let (first, following) = self
            .stages
            .split_at_mut_checked(at.saturating_add(1))
            .unwrap_or_default();
        let Some(stage) = first.last_mut() else {
            return Ok(false);
        };
        let mut next = following.first_mut();
        // The next stage has taken all of its input, so its buffer is used again.
        let mut out = std::mem::take(match &mut next {
            Some(next) => &mut next.buffer.bytes,
            None => &mut self.buffer.bytes,
        });
        out.clear();
        let given = stage.buffer.rest().len();
        let mut rest = stage.buffer.rest();
        let step = stage.codec.step(&mut rest, &mut out, &mut self.work)?;
        let left = rest.len();
        stage.taken = stage
            .taken
            .saturating_add((given.saturating_sub(left)) as u64);
        stage.buffer.after_step(left, step);
        debug_assert!(out.len() <= SLICE_MAX, "{}", out.len());
        count_up(&mut stage.bytes, &out, self.limit)?;
        match next {
            Some(next) => {
                next.has_begun |= !out.is_empty();
                next.buffer = Buffer {
                    bytes: out,
                    ..Buffer::default()
                };
            }
            None => {
                self.work.add_bytes(out.len(), self.reader_units);
                reader(&out).map_err(|error| Stop {
                    error,
                    breach: Breach::Malformed,
                })?;
                self.buffer = Buffer {
                    bytes: out,
                    ..Buffer::default()
                };
            }
        }
        Ok(true)
    }

    /// Frees the buffers once nothing is left to do.
    fn free_buffers(&mut self) {
        self.buffer = Buffer::default();
        for stage in &mut self.stages {
            stage.buffer = Buffer::default();
        }
    }
}

/// The error that stops the body, and the breach that later calls return.
struct Stop<E> {
    error: E,
    breach: Breach,
}

impl<E: From<Breach>> From<Breach> for Stop<E> {
    fn from(breach: Breach) -> Self {
        Self {
            error: breach.into(),
            breach,
        }
    }
}

#[cfg(test)]
mod tests;
