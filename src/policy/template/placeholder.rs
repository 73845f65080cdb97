//! The words between braces, and the forms that each may take.

use super::form::{InstantForm, SpanForm, TimeForm};
use crate::policy::attributes::AttributeId;

/// A word between braces, without its form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Word {
    /// The name of the limit.
    Limit,
    /// Its label.
    Label,
    /// The name of the policy.
    Policy,
    /// The route by which the limit applies, as the policy has it.
    Route,
    /// The units that the limit grants.
    Quota,
    /// The units that are left.
    Remaining,
    /// The units that are taken.
    Used,
    /// The units that are taken beyond the quota.
    Overage,
    /// The window.
    Window,
    /// The time until all units are back.
    Reset,
    /// The time until one more unit is available.
    More,
    /// The wait, as in `Retry-After`.
    RetryAfter,
    /// This moment.
    Now,
    /// An attribute of the caller.
    Attribute,
    /// The trace id of the request: of `traceparent`, or else `x-request-id`.
    TraceId,
    /// Why a payload is refused, in one word.
    Reason,
    /// The number that it exceeds; 0 if there is none.
    Max,
    /// The HTTP status.
    Status,
    /// The status in words.
    Title,
    /// Why the request is refused, in a sentence.
    Detail,
}

/// A place in a template, and the form of its value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Placeholder {
    /// The name of the limit.
    Limit,
    /// Its label.
    Label,
    /// The name of the policy.
    Policy,
    /// The route by which the limit applies.
    Route,
    /// The units that the limit grants.
    Quota,
    /// The units that are left.
    Remaining,
    /// The units that are taken.
    Used,
    /// The units that are taken beyond the quota.
    Overage,
    /// The window.
    Window(SpanForm),
    /// The time until all units are back.
    Reset(TimeForm),
    /// The time until one more unit is available.
    More(TimeForm),
    /// The wait, as in `Retry-After`.
    RetryAfter(TimeForm),
    /// This moment.
    Now(InstantForm),
    /// An attribute of the caller.
    Attribute(AttributeId),
    /// The trace id of the request.
    TraceId,
    /// Why a payload is refused, in one word.
    Reason,
    /// The number that it exceeds.
    Max,
    /// The HTTP status.
    Status,
    /// The status in words.
    Title,
    /// Why the request is refused, in a sentence.
    Detail,
}

/// The suffix that may follow a word after a colon.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Suffix {
    /// Nothing.
    None,
    /// One of these forms, or nothing.
    Form(&'static [&'static str]),
    /// The name of an attribute.
    Attribute,
}

/// The words that show a limit, and `$more`.
macro_rules! words_of_a_limit {
    ($($more:expr),*) => {
        &[
            Word::Limit,
            Word::Label,
            Word::Policy,
            Word::Route,
            Word::Quota,
            Word::Remaining,
            Word::Used,
            Word::Overage,
            Word::Window,
            Word::Reset,
            Word::More,
            Word::RetryAfter,
            Word::Now,
            Word::Attribute,
            Word::TraceId,
            $($more),*
        ]
    };
}

/// The words of a header field that shows limits.
pub const IN_FIELDS: &[Word] = words_of_a_limit!();

/// The words of the answer to a request that a limit, a pool or a seat limit refuses.
pub const REFUSED: &[Word] = words_of_a_limit!(Word::Status, Word::Title, Word::Detail);

/// The words of the answer to a payload that is refused.
pub const PAYLOAD: &[Word] = &[
    Word::Limit,
    Word::Label,
    Word::Policy,
    Word::Route,
    Word::RetryAfter,
    Word::Now,
    Word::Attribute,
    Word::TraceId,
    Word::Reason,
    Word::Max,
    Word::Status,
    Word::Title,
    Word::Detail,
];

/// The words of the answer to a caller that is not identified. No limit applies, and no wait helps.
pub const UNAUTHORIZED: &[Word] = &[
    Word::Policy,
    Word::Now,
    Word::TraceId,
    Word::Status,
    Word::Title,
    Word::Detail,
];

/// The words of the answer to a request that is denied.
pub const DENIED: &[Word] = &[
    Word::Policy,
    Word::Now,
    Word::Attribute,
    Word::TraceId,
    Word::Status,
    Word::Title,
    Word::Detail,
];

impl Word {
    /// The word as it is written.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Limit => "limit",
            Self::Label => "label",
            Self::Policy => "policy",
            Self::Route => "route",
            Self::Quota => "quota",
            Self::Remaining => "remaining",
            Self::Used => "used",
            Self::Overage => "overage",
            Self::Window => "window",
            Self::Reset => "reset",
            Self::More => "more",
            Self::RetryAfter => "retry_after",
            Self::Now => "now",
            Self::Attribute => "attribute",
            Self::TraceId => "trace_id",
            Self::Reason => "reason",
            Self::Max => "max",
            Self::Status => "status",
            Self::Title => "title",
            Self::Detail => "detail",
        }
    }

    /// The suffix that may follow it.
    #[must_use]
    pub const fn suffix(self) -> Suffix {
        match self {
            Self::Window => Suffix::Form(&SpanForm::WORDS),
            Self::Reset | Self::More | Self::RetryAfter => Suffix::Form(&TimeForm::WORDS),
            Self::Now => Suffix::Form(&InstantForm::WORDS),
            Self::Attribute => Suffix::Attribute,
            Self::Limit
            | Self::Label
            | Self::Policy
            | Self::Route
            | Self::Quota
            | Self::Remaining
            | Self::Used
            | Self::Overage
            | Self::TraceId
            | Self::Reason
            | Self::Max
            | Self::Status
            | Self::Title
            | Self::Detail => Suffix::None,
        }
    }

    /// The place with this form; `None` if the word does not take it. Attributes are found
    /// elsewhere.
    pub(super) fn with(self, form: Option<&str>) -> Option<Placeholder> {
        let span = form.map_or(Some(SpanForm::Seconds), SpanForm::find);
        let instant = form.map_or(Some(InstantForm::Iso8601), InstantForm::find);
        let time = form.map_or(Some(TimeForm::Span(SpanForm::Seconds)), TimeForm::find);
        match self {
            Self::Window => span.map(Placeholder::Window),
            Self::Reset => time.map(Placeholder::Reset),
            Self::More => time.map(Placeholder::More),
            Self::RetryAfter => time.map(Placeholder::RetryAfter),
            Self::Now => instant.map(Placeholder::Now),
            Self::Attribute => None,
            _ if form.is_some() => None,
            Self::Limit => Some(Placeholder::Limit),
            Self::Label => Some(Placeholder::Label),
            Self::Policy => Some(Placeholder::Policy),
            Self::Route => Some(Placeholder::Route),
            Self::Quota => Some(Placeholder::Quota),
            Self::Remaining => Some(Placeholder::Remaining),
            Self::Used => Some(Placeholder::Used),
            Self::Overage => Some(Placeholder::Overage),
            Self::TraceId => Some(Placeholder::TraceId),
            Self::Reason => Some(Placeholder::Reason),
            Self::Max => Some(Placeholder::Max),
            Self::Status => Some(Placeholder::Status),
            Self::Title => Some(Placeholder::Title),
            Self::Detail => Some(Placeholder::Detail),
        }
    }
}

impl Placeholder {
    /// The attribute that fills it, if one does.
    #[must_use]
    pub const fn attribute(self) -> Option<AttributeId> {
        if let Self::Attribute(id) = self {
            Some(id)
        } else {
            None
        }
    }

    /// Whether its value is a number.
    pub(super) const fn is_number(self) -> bool {
        match self {
            Self::Quota
            | Self::Remaining
            | Self::Used
            | Self::Overage
            | Self::Max
            | Self::Status => true,
            Self::Window(form) => form.is_number(),
            Self::Reset(form) | Self::More(form) | Self::RetryAfter(form) => form.is_number(),
            Self::Now(form) => form.is_number(),
            Self::Limit
            | Self::Label
            | Self::Policy
            | Self::Route
            | Self::Attribute(_)
            | Self::TraceId
            | Self::Reason
            | Self::Title
            | Self::Detail => false,
        }
    }
}
