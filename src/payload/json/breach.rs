//! Why a body is refused.

/// The rule that a body breaks first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Breach {
    /// Not JSON: no valid body goes on with the byte that stands here.
    Malformed {
        /// How many bytes are before it.
        at: u64,
    },
    /// Not JSON: it ends before its value does. So does an empty body.
    Truncated,
    /// Arrays and objects in one another, more than this.
    Depth {
        /// How many may be.
        limit: u32,
    },
    /// The value at the rule's place is longer.
    ValueBytes {
        /// The most bytes, as sent.
        limit: u64,
    },
    /// More objects that meet the conditions.
    ObjectsCount {
        /// How many may be.
        limit: u64,
    },
    /// Objects that meet the conditions, more in one another.
    ObjectsDepth {
        /// How many may be.
        limit: u32,
    },
    /// An array has more items.
    ArrayItems {
        /// The most in one array.
        limit: u64,
    },
    /// An object has more members.
    Members {
        /// The most in one object.
        limit: u64,
    },
    /// A string that is a value is longer.
    StringBytes {
        /// The most bytes of UTF-8, without escapes.
        limit: u64,
    },
    /// The name of a member is longer.
    NameBytes {
        /// The most bytes of UTF-8, without escapes.
        limit: u64,
    },
    /// The objects that are open have more members together than can be told apart.
    Names {
        /// How many may be.
        limit: u64,
    },
    /// An object has two members of one name.
    DuplicateName,
}

impl Breach {
    /// The word of the rule, in metrics and logs.
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

    /// The number that was exceeded, of a rule that has one.
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
    /// How many bytes are before that one.
    pub(super) at: u64,
    /// What it proves.
    pub(super) breach: Breach,
}

impl Stop {
    /// No valid body goes on with the byte at `at`.
    pub(super) const fn malformed(at: u64) -> Self {
        Breach::Malformed { at }.at(at)
    }
}

/// Turns what is left of a chunk into an offset in the body.
#[derive(Clone, Copy, Debug)]
pub(super) struct Offsets {
    /// How many bytes are before the end of the chunk.
    pub(super) end: u64,
}

impl Offsets {
    /// How many bytes are before `rest`, the end of the chunk.
    pub(super) const fn of(self, rest: &[u8]) -> u64 {
        self.end.saturating_sub(rest.len() as u64)
    }

    /// The offset of the byte before `rest`.
    pub(super) const fn before(self, rest: &[u8]) -> u64 {
        self.of(rest).saturating_sub(1)
    }
}
