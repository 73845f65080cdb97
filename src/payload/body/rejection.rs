//! Why a body is refused, as metrics and callers see it.

use crate::base::invariant::invariant;
use crate::payload::json;

/// Why a body is refused. The set is closed: metrics and replies contain these names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// The body has more bytes than allowed.
    Bytes,
    /// The body decodes to more bytes than allowed.
    DecodedBytes,
    /// The encoding or the archive cannot be measured.
    UnsupportedEncoding,
    /// The content does not match its encoding or archive format, or it ends too soon.
    MalformedEncoding,
    /// The content is not JSON, or it ends too soon.
    MalformedJson,
    /// Its JSON nests too many arrays and objects.
    JsonDepth,
    /// A value of its JSON is too large.
    ValueBytes,
    /// The JSON has too many of the objects that the rule counts.
    ObjectsCount,
    /// The JSON nests too many of these objects.
    ObjectsDepth,
    /// An array has too many items.
    ArrayItems,
    /// An object has too many members, or the open objects together have too many names to compare.
    Members,
    /// A string is too long.
    StringBytes,
    /// A name is too long.
    NameBytes,
    /// An object uses a name twice.
    DuplicateName,
    /// Too many bodies are being decoded already.
    Busy,
    /// The host did not supply the bytes that it has.
    Unavailable,
    /// The host is not configured to hold a head until its body has been read.
    StopIteration,
}

/// Why a body is refused, and the number that it exceeds, if there is one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rejection {
    /// The reason.
    pub reason: Reason,
    /// The largest number allowed.
    pub max: Option<u64>,
}

impl Reason {
    /// All reasons.
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

    pub(super) const fn of_json(breach: json::Breach) -> Self {
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

    /// The name in metrics and replies.
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

    /// The HTTP status: 413 if something is too large, 422 if there is too much of something (RFC
    /// 9110 §15.5.14, §15.5.21), 415 if the filter cannot decode the encoding.
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
    /// The sentence for the caller.
    #[must_use]
    pub fn detail(&self) -> String {
        let max = || invariant(self.max, "a reason with a bound states it").unwrap_or(0);
        match self.reason {
            Reason::Bytes => format!("The payload is larger than {} bytes.", max()),
            Reason::DecodedBytes => format!("The payload decodes to more than {} bytes.", max()),
            Reason::UnsupportedEncoding => "The payload's encoding is not supported.".to_owned(),
            Reason::MalformedEncoding => "The payload cannot be decoded.".to_owned(),
            Reason::MalformedJson => "The payload is not JSON.".to_owned(),
            Reason::JsonDepth => {
                format!("The payload nests more than {} arrays and objects.", max())
            }
            Reason::ValueBytes => {
                format!(
                    "The payload has a value of more than {} bytes where no larger one is allowed.",
                    max()
                )
            }
            Reason::ObjectsCount => {
                format!(
                    "The payload has more than {} of the objects that are counted.",
                    max()
                )
            }
            Reason::ObjectsDepth => {
                format!(
                    "The payload nests the objects that are counted more than {} deep.",
                    max()
                )
            }
            Reason::ArrayItems => format!("The payload has an array of more than {} items.", max()),
            Reason::Members => format!("The payload has an object of more than {} members.", max()),
            Reason::StringBytes => format!("The payload has a text of more than {} bytes.", max()),
            Reason::NameBytes => format!("The payload has a name of more than {} bytes.", max()),
            Reason::DuplicateName => "The payload has an object that uses a name twice.".to_owned(),
            Reason::Busy => "Too many payloads are being decoded at this moment.".to_owned(),
            Reason::Unavailable | Reason::StopIteration => {
                "The payload cannot be read at this moment.".to_owned()
            }
        }
    }
}
