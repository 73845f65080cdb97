//! Why a body is refused.

/// The first rule that a body breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Breach {
    /// Not JSON: no valid body continues with this byte.
    Malformed {
        /// The number of bytes before it.
        at: u64,
    },
    /// Not JSON: the body is empty, or ends before its value does.
    Truncated,
    /// Too many nested arrays and objects.
    Depth {
        /// The most allowed.
        limit: u32,
    },
    /// The value at the rule's path is too long.
    ValueBytes {
        /// The most bytes as sent.
        limit: u64,
    },
    /// Too many objects meet the conditions.
    ObjectsCount {
        /// The most allowed.
        limit: u64,
    },
    /// Too many nested objects meet the conditions.
    ObjectsDepth {
        /// The most allowed.
        limit: u32,
    },
    /// An array has too many items.
    ArrayItems {
        /// The most in one array.
        limit: u64,
    },
    /// An object has too many members.
    Members {
        /// The most in one object.
        limit: u64,
    },
    /// A string value is too long.
    StringBytes {
        /// The most bytes of UTF-8, without escapes.
        limit: u64,
    },
    /// The name of a member is too long.
    NameBytes {
        /// The most bytes of UTF-8, without escapes.
        limit: u64,
    },
    /// The open objects together have too many members to compare their names.
    Names {
        /// The most allowed.
        limit: u64,
    },
    /// An object has two members of the same name.
    DuplicateName,
}

impl Breach {
    /// The name of the rule in metrics and logs.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Malformed { .. } | Self::Truncated => "malformed",
            Self::Depth { .. } => "json_depth",
            Self::ValueBytes { .. } => "value_bytes",
            Self::ObjectsCount { .. } => "objects_count",
            Self::ObjectsDepth { .. } => "objects_depth",
            Self::ArrayItems { .. } => "array_items",
            Self::Members { .. } => "members",
            Self::StringBytes { .. } => "string_bytes",
            Self::NameBytes { .. } => "name_bytes",
            Self::Names { .. } => "names",
            Self::DuplicateName => "duplicate_name",
        }
    }

    /// The number that was exceeded, if the rule has one.
    #[must_use]
    pub fn limit(self) -> Option<u64> {
        match self {
            Self::Malformed { .. } | Self::Truncated | Self::DuplicateName => None,
            Self::Depth { limit } | Self::ObjectsDepth { limit } => Some(limit.into()),
            Self::ValueBytes { limit }
            | Self::ObjectsCount { limit }
            | Self::ArrayItems { limit }
            | Self::Members { limit }
            | Self::StringBytes { limit }
            | Self::NameBytes { limit }
            | Self::Names { limit } => Some(limit),
        }
    }

    /// This breach, proven by the byte at `at`.
    pub(super) const fn at(self, at: u64) -> Stop {
        Stop { at, breach: self }
    }
}

/// A breach, and the byte that proves it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stop {
    /// The number of bytes before that one.
    pub(super) at: u64,
    pub(super) breach: Breach,
}

impl Stop {
    /// No valid body continues with the byte at `at`.
    pub(super) const fn malformed(at: u64) -> Self {
        Breach::Malformed { at }.at(at)
    }
}

/// Converts the rest of a chunk to an offset in the body.
#[derive(Clone, Copy, Debug)]
pub(super) struct Offsets {
    /// The number of bytes before the end of the chunk.
    pub(super) end: u64,
}

impl Offsets {
    /// The number of bytes before `rest`, the end of the chunk.
    pub(super) const fn of(self, rest: &[u8]) -> u64 {
        self.end.saturating_sub(rest.len() as u64)
    }

    /// The offset of the byte before `rest`.
    pub(super) const fn before(self, rest: &[u8]) -> u64 {
        self.of(rest).saturating_sub(1)
    }
}
