//! One body: the policy's requirements, and the measurements.
//!
//! ```text
//! chunk ─▶ bytes as sent ─▶ content encodings ─┬▶ archive or gzip file: the decoded size
//!                                              ├▶ JSON: its shape, its items
//!                                              └▶ lines
//! ```
//!
//! A body is read only as far as the requirements need: if its bytes alone are counted, it is not
//! read.

use std::sync::Arc;

use super::decode::{self, Encodings};
use super::decoded::{DecodedSize, Files};
use super::json::{JsonPath, JsonRules};
use super::memory::{Budget, Reservation};
use super::slice::Slice;
use readers::Readers;

mod readers;
mod rejection;

pub use rejection::{Reason, Rejection};

/// The measurements that a policy needs of a body.
#[derive(Clone, Debug, Default)]
pub struct Requirements {
    /// The largest number of bytes as sent.
    pub bytes: Option<u64>,
    /// The largest number of bytes that it may decode to, archives unpacked.
    pub decoded_bytes: Option<u64>,
    /// The rules for its JSON.
    pub json: Option<Arc<JsonRules>>,
    /// Whether its lines are counted.
    pub lines: bool,
    /// The arrays whose items are counted.
    pub items: Vec<JsonPath>,
}

/// The measurements of a body.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Measurements {
    /// Bytes as sent.
    pub bytes: u64,
    /// Lines; `None` if they could not be read.
    pub lines: Option<u64>,
    /// Items of each array, in the order of the requirements; `None` if no such array was read.
    pub items: Vec<Option<u64>>,
}

/// Measures one body.
pub struct BodyMeter {
    bytes: u64,
    bytes_max: Option<u64>,
    content: Option<Content>,
}

/// How much of the offered bytes has been read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// All of them.
    Idle,
    /// Some must wait for another slice.
    Pending,
}

/// Reads the bytes of the body.
struct Content {
    /// `None` once the body is no longer read.
    decoded: Option<Decoded>,
    readers: Readers,
    reservation: Reservation,
}

struct Decoded {
    size: DecodedSize,
    max: u64,
    /// Whether a body that cannot be decoded is refused. If not, it passes, and is no longer read.
    enforced: bool,
}

/// The most bytes that a body may decode to if its policy bounds neither the decoded bytes nor
/// those sent: 64 MiB.
pub const DECODED_DEFAULT: u64 = 64 << 20;

impl Requirements {
    /// Whether the meter must read the bytes themselves.
    #[must_use]
    pub const fn reads(&self) -> bool {
        self.decoded_bytes.is_some() || self.json.is_some() || self.lines || !self.items.is_empty()
    }

    /// Whether a body that cannot be decoded is refused.
    const fn enforces(&self) -> bool {
        self.decoded_bytes.is_some() || self.json.is_some()
    }
}

impl BodyMeter {
    /// Counts the bytes of a body without reading them.
    #[must_use]
    pub const fn unread() -> Self {
        Self {
            bytes: 0,
            bytes_max: None,
            content: None,
        }
    }

    /// Measures a body with these values of `Content-Encoding`, within the memory of `budget`. The
    /// `seed` is a secret, as in [`DecodedSize::new`].
    ///
    /// # Errors
    /// If the policy needs the body decoded and that is not supported, or no memory is left.
    pub fn new<'v>(
        requirements: &Requirements,
        encodings: impl IntoIterator<Item = &'v [u8]>,
        seed: [u8; 16],
        budget: &Budget,
    ) -> Result<Self, Rejection> {
        let plain = Self {
            bytes: 0,
            bytes_max: requirements.bytes,
            content: None,
        };
        if !requirements.reads() {
            return Ok(plain);
        }
        let Ok(encodings) = Encodings::parse(encodings) else {
            let rejection = Rejection {
                reason: Reason::UnsupportedEncoding,
                max: None,
            };
            return if requirements.enforces() {
                Err(rejection)
            } else {
                Ok(plain)
            };
        };
        let files = if requirements.decoded_bytes.is_some() {
            Files::Unpack
        } else {
            Files::Leave
        };
        let max = if requirements.decoded_bytes.is_none() && encodings.is_identity() {
            u64::MAX
        } else {
            requirements
                .decoded_bytes
                .or(requirements.bytes.filter(|_| requirements.enforces()))
                .unwrap_or(DECODED_DEFAULT)
        };
        let [a, b, c, d, e, f, g, h, ..] = seed;
        let readers = Readers::new(requirements, u64::from_le_bytes([a, b, c, d, e, f, g, h]));
        let size =
            DecodedSize::new(&encodings, files, max, seed).with_readers(readers.byte_units());
        let decoded = Some(Decoded {
            size,
            max,
            enforced: requirements.enforces(),
        });
        let mut content = Content {
            decoded,
            readers,
            reservation: Reservation::new(budget),
        };
        content.reserve()?;
        Ok(Self {
            content: Some(content),
            ..plain
        })
    }

    /// Whether [`BodyMeter::offer`] must be given the bytes.
    #[must_use]
    pub const fn reads(&self) -> bool {
        self.content.is_some()
    }

    /// Counts bytes as sent.
    ///
    /// # Errors
    /// If there are too many.
    pub fn count(&mut self, bytes: u64) -> Result<(), Rejection> {
        self.bytes = self.bytes.saturating_add(bytes);
        match self.bytes_max.filter(|max| self.bytes > *max) {
            Some(max) => Err(Rejection {
                reason: Reason::Bytes,
                max: Some(max),
            }),
            None => Ok(()),
        }
    }

    /// Takes the next bytes; [`BodyMeter::count`] counts them. [`BodyMeter::advance`] decodes them.
    ///
    /// # Errors
    /// If no memory is left for them.
    pub fn offer(&mut self, chunk: &[u8]) -> Result<(), Rejection> {
        let Some(content) = &mut self.content else {
            return Ok(());
        };
        let Some(decoded) = &mut content.decoded else {
            return Ok(());
        };
        decoded.size.offer(chunk);
        content.reserve()
    }

    /// Reads the offered bytes until none are left or the slice is used up.
    ///
    /// # Errors
    /// If the body is refused.
    pub fn advance(&mut self, slice: &mut Slice) -> Result<Progress, Rejection> {
        let Some(content) = &mut self.content else {
            return Ok(Progress::Idle);
        };
        let Content {
            decoded: Some(decoded),
            readers,
            ..
        } = content
        else {
            return Ok(Progress::Idle);
        };
        match decoded.size.advance(slice, &mut |bytes| {
            readers.feed(bytes).map_err(Stop::Rejected)
        }) {
            Ok(progress) => content.reserve().map(|()| progress),
            Err(Stop::Rejected(rejection)) => Err(rejection),
            Err(Stop::Decode(breach)) => content.breach(breach).map(|()| Progress::Idle),
        }
    }

    /// Ends the body, all of which has been read.
    ///
    /// # Errors
    /// If the body is refused.
    pub fn finish(&mut self) -> Result<(), Rejection> {
        let bytes = self.bytes;
        let Some(content) = &mut self.content else {
            return Ok(());
        };
        if bytes == 0 {
            // An empty body is neither JSON nor an archive, and exceeds no bound.
            return Ok(());
        }
        if let Some(decoded) = &content.decoded
            && let Err(breach) = decoded.size.finish()
        {
            content.breach(breach)?;
        }
        content.readers.finish()
    }

    /// The measurements so far.
    #[must_use]
    pub fn measured(&self) -> Measurements {
        let (lines, items) = match &self.content {
            Some(content) => content.readers.measured(),
            None => (None, Vec::new()),
        };
        Measurements {
            bytes: self.bytes,
            lines,
            items,
        }
    }
}

impl Content {
    /// Updates the reservation to the memory that the body holds now.
    fn reserve(&mut self) -> Result<(), Rejection> {
        let Some(decoded) = &self.decoded else {
            return Ok(());
        };
        let bytes = decoded
            .size
            .memory()
            .saturating_add(self.readers.memory())
            .saturating_add(size_of::<Self>());
        if self.reservation.resize(bytes as u64).is_ok() {
            return Ok(());
        }
        self.abandon(Rejection {
            reason: Reason::Busy,
            max: None,
        })
    }

    fn breach(&mut self, breach: decode::Breach) -> Result<(), Rejection> {
        let max = self.decoded.as_ref().map(|decoded| decoded.max);
        let (reason, max) = match breach {
            decode::Breach::Malformed => (Reason::MalformedEncoding, None),
            decode::Breach::Over => (Reason::DecodedBytes, max),
            decode::Breach::Unsupported => (Reason::UnsupportedEncoding, None),
        };
        self.abandon(Rejection { reason, max })
    }

    /// Refuses the body if the policy needs it decoded. If not, the body passes and is no longer
    /// read: a cost alone never refuses a request.
    fn abandon(&mut self, rejection: Rejection) -> Result<(), Rejection> {
        if self
            .decoded
            .as_ref()
            .is_some_and(|decoded| decoded.enforced)
        {
            return Err(rejection);
        }
        self.decoded = None;
        // Cannot fail, since it holds no more than before.
        let _ = self.reservation.resize(0);
        Ok(())
    }
}

/// Why decoding of a chunk ends.
enum Stop {
    Decode(decode::Breach),
    Rejected(Rejection),
}

impl From<decode::Breach> for Stop {
    fn from(breach: decode::Breach) -> Self {
        Self::Decode(breach)
    }
}

#[cfg(test)]
mod hostile;
#[cfg(test)]
mod tests;
