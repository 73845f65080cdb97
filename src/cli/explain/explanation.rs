//! The explanation of one request, for people and for machines alike. The names of these fields are
//! those of `--json`, which scripts read: they may be added to, and not renamed.

use serde::Serialize;
use serde_json::Value;

/// The whole explanation.
#[derive(Debug, Serialize)]
pub(super) struct Explanation {
    /// The policy's name.
    pub(super) policy: String,
    /// The policy's revision.
    pub(super) revision: String,
    /// When the request arrives (RFC 3339).
    pub(super) at: String,
    /// The number of such requests, of which it is the last.
    pub(super) repeat: u64,
    pub(super) request: Asked,
    /// The routes of the policy that match.
    pub(super) routes: Vec<String>,
    pub(super) tier: Option<Matched>,
    pub(super) callers: Callers,
    /// Inputs that the policy reads, and the arguments lack.
    pub(super) not_given: Vec<Missing>,
    /// The pointer of the exemption that holds.
    pub(super) exempt: Option<String>,
    /// The pointer of the denial that holds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) denied: Option<String>,
    /// The pointer of the endpoint, if that answers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) endpoint: Option<String>,
    /// The payload limit that holds for its body.
    pub(super) payload: Option<Payload>,
    /// The limits that apply.
    pub(super) limits: Vec<Limit>,
    /// The pools of which it needs a slot.
    pub(super) pools: Vec<Pool>,
    /// The seats that it touches.
    pub(super) seats: Vec<Seats>,
    /// The limits that do not apply; none if none was compared.
    pub(super) not_applied: Vec<NotApplied>,
    /// `admitted`, `refused`, `would_refuse`, `denied` or `answered`.
    pub(super) decision: &'static str,
    /// The limit that refused, or would have.
    pub(super) limit: Option<String>,
    pub(super) response: Response,
}

/// The request.
#[derive(Debug, Serialize)]
pub(super) struct Asked {
    pub(super) method: String,
    /// Without the query.
    pub(super) path: String,
    /// Why its path is refused, if it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) refused: Option<Refused>,
}

/// Something with a name, and the route by which it was found.
#[derive(Debug, Serialize)]
pub(super) struct Matched {
    pub(super) name: String,
    pub(super) route: Option<String>,
}

/// Something that was not given, though the policy reads it.
#[derive(Debug, Serialize)]
pub(super) struct Missing {
    /// The option that gives it.
    pub(super) option: String,
    /// The credentials and attributes that it may change.
    pub(super) names: Vec<String>,
}

/// The caller.
#[derive(Debug, Serialize)]
pub(super) struct Callers {
    /// Whether the policy identifies callers.
    #[serde(skip)]
    pub(super) defined: bool,
    /// Whether they must identify themselves.
    pub(super) asked: bool,
    /// The route of `callers.for` that matches.
    pub(super) route: Option<String>,
    /// All credentials of the policy; none if the caller need not identify itself.
    pub(super) credentials: Vec<Credential>,
    /// Why the caller is refused.
    pub(super) refused: Option<Refused>,
    /// The attribute that has two values, or of which a credential or a source is unknown or occurs
    /// twice.
    pub(super) refused_by: Option<String>,
    pub(super) attributes: Vec<Attribute>,
    /// The attributes that the caller does not have.
    pub(super) missing: Vec<String>,
}

/// One way to present a credential.
#[derive(Debug, Serialize)]
pub(super) struct Credential {
    pub(super) name: String,
    /// Its place in a request.
    pub(super) place: String,
    pub(super) found: Found,
    /// The identifier of the credential, which does not reveal it.
    pub(super) identifier: Option<String>,
}

/// The outcome of a credential.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Found {
    /// It is not there.
    NotPresented,
    /// The directory has it.
    Known,
    /// The directory does not have it.
    Unknown,
    /// The directory's entry has ended.
    Expired,
    /// An earlier filter has verified it.
    Verified,
    /// It is unknown, and another one identifies the caller.
    PassedOver,
    /// It occurs twice.
    Ambiguous,
    /// The caller was refused before.
    NotLookedAt,
}

/// Why a caller is refused.
#[derive(Debug, Serialize)]
pub(super) struct Refused {
    /// As in `sluicegate_unauthorized_total`.
    pub(super) reason: &'static str,
    pub(super) message: String,
}

/// An attribute of the caller.
#[derive(Debug, Serialize)]
pub(super) struct Attribute {
    pub(super) name: String,
    pub(super) value: String,
    pub(super) from: String,
}

/// A limit that applies.
#[derive(Debug, Serialize)]
pub(super) struct Limit {
    pub(super) name: String,
    /// Its name for people.
    pub(super) label: String,
    /// The parts of its key.
    pub(super) key: Vec<Part>,
    /// The rule that holds for this caller, as a policy has it.
    pub(super) rule: Value,
    /// The pointer of the override that it is from.
    pub(super) r#override: Option<String>,
    /// The source of the quota or the burst, if it may be the caller's own.
    pub(super) quota_from: Option<String>,
    /// Units; `None` if only the response or the body states them, and it was not given.
    pub(super) cost: Option<u64>,
    /// Units that it takes until its cost is known; `None` if the cost is known at once.
    pub(super) reserved: Option<u64>,
    /// The source of the cost, unless the policy states the number.
    pub(super) cost_from: Option<String>,
    /// Which responses are charged, as the policy writes it.
    pub(super) charge: String,
    /// The time for which a refusal locks the key.
    pub(super) lock: Option<String>,
    /// Whether the key is locked after this request.
    pub(super) locked: bool,
    /// Whether its charge is refunded, because such a response is not charged.
    pub(super) refunded: bool,
    /// `proxy` or `global`: the scope of the counter.
    pub(super) scope: &'static str,
    /// `enforce` or `shadow`.
    pub(super) enforcement: &'static str,
    /// The decision; `None` if it admits, and another limit refuses.
    pub(super) decision: Option<&'static str>,
    /// Units of a window.
    pub(super) quota: u64,
    /// Units left after this request.
    pub(super) remaining: u64,
    /// Units taken above the quota.
    pub(super) overage: u64,
    /// Until a further unit is there, rounded up to seconds.
    pub(super) next_unit_in: u64,
    /// Until all are.
    pub(super) reset_in: u64,
    /// The shortest wait after which the request is admitted; `None` if waiting does not help, or
    /// is not needed.
    pub(super) retry_after: Option<u64>,
    /// Whether callers see its numbers.
    pub(super) shown: bool,
}

/// A payload limit.
#[derive(Debug, Serialize)]
pub(super) struct Payload {
    pub(super) name: String,
    /// Its name for people.
    pub(super) label: String,
    pub(super) at: String,
    /// The pointer of the override that the numbers are from.
    pub(super) r#override: Option<String>,
    /// Most bytes as sent.
    pub(super) bytes: Option<u64>,
    /// Most bytes decoded.
    pub(super) decoded_bytes: Option<u64>,
    /// Whether the body is measured as JSON.
    pub(super) json: bool,
    /// Whether the upstream receives no part of it before it has passed.
    pub(super) hold: bool,
    /// `enforce` or `shadow`.
    pub(super) enforcement: &'static str,
    /// Why the head alone is refused, or would be, as in `sluicegate_payloads_refused_total`.
    pub(super) refused: Option<&'static str>,
}

/// A concurrency limit.
#[derive(Debug, Serialize)]
pub(super) struct Pool {
    pub(super) name: String,
    /// Its name for people.
    pub(super) label: String,
    /// The key of the slots.
    pub(super) key: Vec<Part>,
    pub(super) slots: u32,
    /// Most that wait.
    pub(super) queue_length: u32,
    /// For how long.
    pub(super) queue_timeout: String,
    /// `enforce` or `shadow`.
    pub(super) enforcement: &'static str,
}

/// A seat limit.
#[derive(Debug, Serialize)]
pub(super) struct Seats {
    pub(super) name: String,
    /// Its name for people.
    pub(super) label: String,
    /// The key of the seats.
    pub(super) key: Vec<Part>,
    /// The holders.
    pub(super) holder: Part,
    pub(super) seats: u32,
    /// How long it is kept without a touch.
    pub(super) idle: String,
    /// The status of the answer if none is free.
    pub(super) status: u32,
    /// `enforce` or `shadow`.
    pub(super) enforcement: &'static str,
}

/// One part of a counter's key.
#[derive(Debug, Serialize)]
pub(super) struct Part {
    pub(super) name: String,
    /// `None` if the caller has none: all such callers count together.
    pub(super) value: Option<String>,
}

/// A limit that does not apply.
#[derive(Debug, Serialize)]
pub(super) struct NotApplied {
    pub(super) name: String,
    pub(super) reason: Reason,
    pub(super) message: String,
}

/// Why a limit does not apply.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Reason {
    /// Another tier.
    Tier,
    /// None of its routes matches.
    Routes,
    /// It excludes a route that matches.
    Except,
    /// The client's address is in none of its networks.
    Address,
    /// Another value of an attribute, or none.
    Attribute,
    /// A part of its key is missing, and it says `absent: skip`.
    Key,
    /// An override says `unlimited`.
    Unlimited,
    /// It counts requests that receive a 401.
    Identified,
    /// The readings of the path that it matches are exempt.
    Exempt,
}

/// The head and body that the client gets.
#[derive(Debug, Serialize)]
pub(super) struct Response {
    /// `None` if the upstream answers, unless the arguments state its status.
    pub(super) status: Option<u32>,
    /// Whether the upstream answers.
    #[serde(skip)]
    pub(super) of_the_upstream: bool,
    /// The gateway's own.
    pub(super) fields: Vec<Field>,
    pub(super) body: Option<String>,
}

/// A header field.
#[derive(Debug, Serialize)]
pub(super) struct Field {
    pub(super) name: String,
    pub(super) value: String,
}

impl Explanation {
    /// As JSON, on as many lines as it takes to read it.
    pub(super) fn to_json(&self) -> String {
        // A value whose keys are names, and whose values are texts and numbers, can always be
        // written.
        serde_json::to_string_pretty(self).unwrap_or_default() + "\n"
    }
}
