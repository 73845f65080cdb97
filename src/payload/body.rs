//! One body: what it may be, and what it comes to.
//!
//! ```text
//! chunk ─▶ bytes as sent ─▶ content encodings ─┬▶ archive or gzip file: the decoded size
//!                                              ├▶ JSON: its shape, its items
//!                                              └▶ lines
//! ```
//!
//! Only what was asked for is looked at: a body whose bytes are counted alone is never read.

use std::sync::Arc;

use super::decode::{self, Encodings};
use super::decoded::{DecodedSize, Files};
use super::json::{self, JsonPath, JsonRules};
use super::memory::{Budget, Share};
use super::slice::Slice;
use readers::Readers;

mod readers;

/// Why a body is refused: a closed set, in metrics and in what callers are told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// More bytes than may be sent.
    Bytes,
    /// More bytes than it may decode to.
    DecodedBytes,
    /// An encoding, or an archive, that cannot be measured.
    UnsupportedEncoding,
    /// It is not what its encoding or archive says, or ended too soon.
    MalformedEncoding,
    /// It is not JSON, or ended too soon.
    MalformedJson,
    /// Its JSON nests too many arrays and objects.
    JsonDepth,
    /// A value of its JSON is too large.
    ValueBytes,
    /// It has too many objects that are counted.
    ObjectsCount,
    /// It nests too many of them.
    ObjectsDepth,
    /// An array has too many items.
    ArrayItems,
    /// An object has too many members, or too many are open at one time to tell their names apart.
    Members,
    /// A text is too long.
    StringBytes,
    /// A name is too long.
    NameBytes,
    /// An object uses a name twice.
    DuplicateName,
    /// Too many bodies are being decoded already.
    Busy,
    /// The host did not give the bytes that it has.
    Unavailable,
    /// The host is not set up to hold a head until its body has been read.
    StopIteration,
}

/// A body's refusal, with the number that it breaks, where it is one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rejection {
    /// Why.
    pub reason: Reason,
    /// The most that is allowed.
    pub max: Option<u64>,
}

/// What is to be known of a body.
#[derive(Clone, Debug, Default)]
pub struct Requirements {
    /// Most bytes as sent.
    pub bytes: Option<u64>,
    /// Most bytes it may decode to, archives unpacked.
    pub decoded_bytes: Option<u64>,
    /// The shape of its JSON.
    pub json: Option<Arc<JsonRules>>,
    /// Whether its lines are counted.
    pub lines: bool,
    /// Arrays whose items are counted.
    pub items: Vec<JsonPath>,
}

/// What a body came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Measurements {
    /// Bytes as sent.
    pub bytes: u64,
    /// Lines; `None` where they could not be read.
    pub lines: Option<u64>,
    /// Items, in the order in which they were asked for; `None` where no such array was read.
    pub items: Vec<Option<u64>>,
}

/// Measures one body.
pub struct BodyMeter {
    bytes: u64,
    bytes_max: Option<u64>,
    content: Option<Content>,
}

/// How far the bytes that were offered have been read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// All of them.
    Idle,
    /// Some are left for another slice.
    Pending,
}

/// What looks at the bytes.
struct Content {
    /// `None` once the body is read no further.
    decoded: Option<Decoded>,
    readers: Readers,
    share: Share,
}

struct Decoded {
    size: DecodedSize,
    max: u64,
    /// Whether a body that cannot be decoded is refused; otherwise it goes on, and is read no further.
    enforced: bool,
}

/// The most bytes that a body is decoded to where its policy bounds neither these nor those sent: 64 MiB.
pub const DECODED_USUAL: u64 = 64 << 20;

impl Requirements {
    /// Whether a meter must see the bytes themselves.
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
    /// Counts the bytes of a body, and reads none.
    #[must_use]
    pub const fn unread() -> Self {
        Self { bytes: 0, bytes_max: None, content: None }
    }

    /// Measures a body with these values of `Content-Encoding`, within the memory of `budget`. The `seed` is a
    /// secret, as in [`DecodedSize::new`].
    ///
    /// # Errors
    /// If the policy needs the body decoded and that is not supported, or no memory is left.
    pub fn new<'v>(
        wanted: &Requirements,
        encodings: impl IntoIterator<Item = &'v [u8]>,
        seed: [u8; 16],
        budget: &Budget,
    ) -> Result<Self, Rejection> {
        let plain = Self { bytes: 0, bytes_max: wanted.bytes, content: None };
        if !wanted.reads() {
            return Ok(plain);
        }
        let Ok(encodings) = Encodings::parse(encodings) else {
            let refused = Rejection { reason: Reason::UnsupportedEncoding, max: None };
            return if wanted.enforces() { Err(refused) } else { Ok(plain) };
        };
        let files = if wanted.decoded_bytes.is_some() { Files::Unpack } else { Files::Leave };
        let max = if wanted.decoded_bytes.is_none() && encodings.is_identity() {
            u64::MAX
        } else {
            wanted.decoded_bytes.or(wanted.bytes.filter(|_| wanted.enforces())).unwrap_or(DECODED_USUAL)
        };
        let readers = Readers::new(wanted, u64::from_le_bytes(*seed.first_chunk().unwrap_or(&[0; 8])));
        let size = DecodedSize::new(&encodings, files, max, seed).with_readers(readers.byte_units());
        let decoded = Some(Decoded { size, max, enforced: wanted.enforces() });
        let mut content = Content { decoded, readers, share: Share::of(budget) };
        content.hold()?;
        Ok(Self { content: Some(content), ..plain })
    }

    /// Whether [`BodyMeter::offer`] must be given the bytes.
    #[must_use]
    pub const fn reads(&self) -> bool {
        self.content.is_some()
    }

    /// Counts bytes as sent.
    ///
    /// # Errors
    /// Where they are too many.
    pub fn count(&mut self, bytes: u64) -> Result<(), Rejection> {
        self.bytes = self.bytes.saturating_add(bytes);
        match self.bytes_max.filter(|max| self.bytes > *max) {
            Some(max) => Err(Rejection { reason: Reason::Bytes, max: Some(max) }),
            None => Ok(()),
        }
    }

    /// Takes the next bytes, which are counted apart. Nothing is decoded before [`BodyMeter::advance`].
    ///
    /// # Errors
    /// If no memory is left for them.
    pub fn offer(&mut self, chunk: &[u8]) -> Result<(), Rejection> {
        let Some(content) = &mut self.content else { return Ok(()) };
        let Some(decoded) = &mut content.decoded else { return Ok(()) };
        decoded.size.offer(chunk);
        content.hold()
    }

    /// Reads what was offered, until all is read or the slice is used up.
    ///
    /// # Errors
    /// Why the body is refused.
    pub fn advance(&mut self, slice: &mut Slice) -> Result<Progress, Rejection> {
        let Some(content) = &mut self.content else { return Ok(Progress::Idle) };
        let Content { decoded: Some(decoded), readers, .. } = content else { return Ok(Progress::Idle) };
        match decoded.size.advance(slice, &mut |bytes| readers.feed(bytes).map_err(Stop::Refused)) {
            Ok(progress) => content.hold().map(|()| progress),
            Err(Stop::Refused(refused)) => Err(refused),
            Err(Stop::Decode(breach)) => content.breach(breach).map(|()| Progress::Idle),
        }
    }

    /// Ends the body, of which all was read.
    ///
    /// # Errors
    /// Why it is refused.
    pub fn finish(&mut self) -> Result<(), Rejection> {
        let bytes = self.bytes;
        let Some(content) = &mut self.content else { return Ok(()) };
        if bytes == 0 {
            // No body is no JSON and no archive, and nothing that a bound is for.
            return Ok(());
        }
        if let Some(decoded) = &content.decoded
            && let Err(breach) = decoded.size.finish()
        {
            content.breach(breach)?;
        }
        content.readers.finish()
    }

    /// What the body came to, so far.
    #[must_use]
    pub fn measured(&self) -> Measurements {
        let (lines, items) = self.content.as_ref().map(|content| content.readers.measured()).unwrap_or_default();
        Measurements { bytes: self.bytes, lines, items }
    }
}

impl Content {
    /// Counts the memory that the body holds.
    fn hold(&mut self) -> Result<(), Rejection> {
        let Some(decoded) = &self.decoded else { return Ok(()) };
        let bytes = decoded.size.memory().saturating_add(self.readers.memory()).saturating_add(size_of::<Self>());
        if self.share.hold(u64::try_from(bytes).unwrap_or(u64::MAX)).is_ok() {
            return Ok(());
        }
        self.give_up(Rejection { reason: Reason::Busy, max: None })
    }

    fn breach(&mut self, breach: decode::Breach) -> Result<(), Rejection> {
        let max = self.decoded.as_ref().map(|decoded| decoded.max);
        let (reason, max) = match breach {
            decode::Breach::Malformed => (Reason::MalformedEncoding, None),
            decode::Breach::Over => (Reason::DecodedBytes, max),
            decode::Breach::Unsupported => (Reason::UnsupportedEncoding, None),
        };
        self.give_up(Rejection { reason, max })
    }

    /// Refuses the body if the policy needs it decoded. Otherwise it goes on, and is read no further: a cost
    /// alone turns nobody away.
    fn give_up(&mut self, refused: Rejection) -> Result<(), Rejection> {
        if self.decoded.as_ref().is_some_and(|decoded| decoded.enforced) {
            return Err(refused);
        }
        self.decoded = None;
        // It holds no more than before.
        let _ = self.share.hold(0);
        Ok(())
    }
}

/// What ends the decoding of a chunk.
enum Stop {
    Decode(decode::Breach),
    Refused(Rejection),
}

impl From<decode::Breach> for Stop {
    fn from(breach: decode::Breach) -> Self {
        Self::Decode(breach)
    }
}

impl Reason {
    /// All of them.
    pub const ALL: [Self; 17] = [
        Self::Bytes,
        Self::DecodedBytes,
        Self::UnsupportedEncoding,
        Self::MalformedEncoding,
        Self::MalformedJson,
        Self::JsonDepth,
        Self::ValueBytes,
        Self::ObjectsCount,
        Self::ObjectsDepth,
        Self::ArrayItems,
        Self::Members,
        Self::StringBytes,
        Self::NameBytes,
        Self::DuplicateName,
        Self::Busy,
        Self::Unavailable,
        Self::StopIteration,
    ];

    const fn of_json(breach: json::Breach) -> Self {
        match breach {
            json::Breach::Malformed { .. } | json::Breach::Truncated => Self::MalformedJson,
            json::Breach::Depth { .. } => Self::JsonDepth,
            json::Breach::ValueBytes { .. } => Self::ValueBytes,
            json::Breach::ObjectsCount { .. } => Self::ObjectsCount,
            json::Breach::ObjectsDepth { .. } => Self::ObjectsDepth,
            json::Breach::ArrayItems { .. } => Self::ArrayItems,
            json::Breach::Members { .. } | json::Breach::Names { .. } => Self::Members,
            json::Breach::StringBytes { .. } => Self::StringBytes,
            json::Breach::NameBytes { .. } => Self::NameBytes,
            json::Breach::DuplicateName => Self::DuplicateName,
        }
    }

    /// The name in metrics and in what callers are told.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Bytes => "bytes",
            Self::DecodedBytes => "decoded_bytes",
            Self::UnsupportedEncoding => "unsupported_encoding",
            Self::MalformedEncoding => "malformed_encoding",
            Self::MalformedJson => "malformed_json",
            Self::JsonDepth => "json_depth",
            Self::ValueBytes => "value_bytes",
            Self::ObjectsCount => "objects_count",
            Self::ObjectsDepth => "objects_depth",
            Self::ArrayItems => "array_items",
            Self::Members => "members",
            Self::StringBytes => "string_bytes",
            Self::NameBytes => "name_bytes",
            Self::DuplicateName => "duplicate_name",
            Self::Busy => "busy",
            Self::Unavailable => "unavailable",
            Self::StopIteration => "stop_iteration",
        }
    }

    /// The HTTP status: what is too large is 413 and what has too much of something 422 (RFC 9110
    /// §15.5.14, §15.5.21); an encoding that nobody here can decode is 415.
    #[must_use]
    pub const fn status(self) -> u32 {
        match self {
            Self::Bytes | Self::DecodedBytes | Self::ValueBytes => 413,
            Self::JsonDepth
            | Self::ObjectsCount
            | Self::ObjectsDepth
            | Self::ArrayItems
            | Self::Members
            | Self::StringBytes
            | Self::NameBytes
            | Self::DuplicateName => 422,
            Self::UnsupportedEncoding => 415,
            Self::MalformedEncoding | Self::MalformedJson => 400,
            Self::Busy | Self::Unavailable | Self::StopIteration => 503,
        }
    }
}

impl Rejection {
    /// The sentence for a caller.
    #[must_use]
    pub fn detail(&self) -> String {
        let max = self.max.unwrap_or_default();
        match self.reason {
            Reason::Bytes => format!("The payload is larger than {max} bytes."),
            Reason::DecodedBytes => format!("The payload decodes to more than {max} bytes."),
            Reason::UnsupportedEncoding => "The payload's encoding is not supported.".to_owned(),
            Reason::MalformedEncoding => "The payload cannot be decoded.".to_owned(),
            Reason::MalformedJson => "The payload is not JSON.".to_owned(),
            Reason::JsonDepth => format!("The payload nests more than {max} arrays and objects."),
            Reason::ValueBytes => {
                format!("The payload has a value of more than {max} bytes where no larger one is allowed.")
            }
            Reason::ObjectsCount => {
                format!("The payload has more than {max} of the objects that are counted.")
            }
            Reason::ObjectsDepth => {
                format!("The payload nests the objects that are counted more than {max} deep.")
            }
            Reason::ArrayItems => format!("The payload has an array of more than {max} items."),
            Reason::Members => format!("The payload has an object of more than {max} members."),
            Reason::StringBytes => format!("The payload has a text of more than {max} bytes."),
            Reason::NameBytes => format!("The payload has a name of more than {max} bytes."),
            Reason::DuplicateName => "The payload has an object that uses a name twice.".to_owned(),
            Reason::Busy => "Too many payloads are being decoded at this moment.".to_owned(),
            Reason::Unavailable | Reason::StopIteration => "The payload cannot be read at this moment.".to_owned(),
        }
    }
}

#[cfg(test)]
mod hostile;
#[cfg(test)]
mod tests;
