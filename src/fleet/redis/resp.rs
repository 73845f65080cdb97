//! One call to Redis: its bytes, and the bytes that it answers (RESP2).
//!
//! ```text
//!   [AUTH [user] password] [SELECT database] EVALSHA … × takes QUIT
//! ```
//!
//! A call is a connection of its own, which Envoy half-closes after these bytes. `QUIT` ends it
//! also at an engine that ignores that.

mod reply;

use super::{SCRIPT, SCRIPT_SHA};
use crate::fleet::command::{Command, Kind};
use crate::fleet::engine::EngineError;
use crate::fleet::take::{Answer, Take};
use reply::Replies;

/// Most takes in one call.
pub const TAKES_MAX: usize = 64;

/// How a connection begins.
#[derive(Clone, Copy, Default)]
pub struct Login<'a> {
    /// The user; the default user if there is none.
    pub user: Option<&'a str>,
    /// The password; without one the connection does not authenticate.
    pub password: Option<&'a str>,
    /// The number of the database.
    pub database: u32,
}

/// How a call names the script.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// By its digest.
    Digest,
    /// By its text in the first take, for an engine that has forgotten it.
    Text,
}

/// The bytes of a call. Takes beyond [`TAKES_MAX`] are left out.
#[must_use]
pub fn encode(login: Login<'_>, form: Form, takes: &[Take]) -> Vec<u8> {
    let mut call = Vec::with_capacity(takes.len().saturating_mul(384).saturating_add(64));
    if let Some(password) = login.password {
        let user = login.user.into_iter();
        let parts: Vec<&str> = ["AUTH"].into_iter().chain(user).chain([password]).collect();
        request(&mut call, &parts);
    }
    if login.database > 0 {
        request(&mut call, &["SELECT", &login.database.to_string()]);
    }
    for (place, take) in takes.iter().take(TAKES_MAX).enumerate() {
        let script = if form == Form::Text && place == 0 {
            ["EVAL", SCRIPT]
        } else {
            ["EVALSHA", SCRIPT_SHA]
        };
        encode_take(&mut call, script, take);
    }
    request(&mut call, &["QUIT"]);
    call
}

/// The answers in the bytes of an answered call: one for each of its takes.
///
/// # Errors
/// [`EngineError`] if the call as a whole failed: the login was refused, or the bytes are not the
/// replies to this call. A take that failed alone has its error in its place.
pub fn decode(
    login: Login<'_>,
    takes: &[Take],
    bytes: &[u8],
) -> Result<Vec<Result<Answer, EngineError>>, EngineError> {
    let mut replies = Replies::new(bytes);
    if login.password.is_some() {
        replies.ok().map_err(|error| {
            if error == EngineError::Script {
                // `ERR AUTH <password> called without any password configured for the default user`
                EngineError::NoAuth
            } else {
                error
            }
        })?;
    }
    if login.database > 0 {
        replies.ok()?;
    }
    let mut answers = Vec::with_capacity(takes.len().min(TAKES_MAX));
    for take in takes.iter().take(TAKES_MAX) {
        match replies.answer(&Command::of(take)) {
            Err(EngineError::Garbage) => return Err(EngineError::Garbage),
            Err(EngineError::Truncated) => return Err(ended(&answers)),
            answer => answers.push(answer),
        }
    }
    replies.ok().map_err(|error| {
        if error == EngineError::Truncated {
            ended(&answers)
        } else {
            error
        }
    })?;
    replies.end()?;
    Ok(answers)
}

/// Why an answer ended too early: an error after which Redis closes the connection, if the last
/// reply is one.
fn ended(answers: &[Result<Answer, EngineError>]) -> EngineError {
    let last = answers.last().and_then(|answer| answer.err());
    last.unwrap_or(EngineError::Truncated)
}

/// The key of a take's counter. Its window's end is in the name of a calendar window.
#[must_use]
pub fn key(take: &Take) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digit = |value: u8| char::from(*DIGITS.get(usize::from(value)).unwrap_or(&b'0'));
    let mut key = String::with_capacity(56);
    key.push_str("sg1:{");
    for byte in take.counter.0 {
        key.push(digit(byte >> 4));
        key.push(digit(byte & 0xf));
    }
    key.push('}');
    let command = Command::of(take);
    if command.kind == Kind::Calendar {
        key.push(':');
        key.push_str(itoa::Buffer::new().format(command.span));
    }
    key
}

fn encode_take(call: &mut Vec<u8>, script: [&str; 2], take: &Take) {
    let command = Command::of(take);
    let [verb, name] = script;
    header(call, 18);
    for part in [verb, name, "1", &key(take), command.kind.letter()] {
        text(call, part);
    }
    for value in [command.quota, command.span, command.start] {
        number(call, value);
    }
    text(call, &format!("{:016x}", command.proxy.0));
    for value in [
        command.seq,
        command.spent,
        command.extra,
        command.refund,
        command.since,
    ] {
        number(call, value);
    }
    text(call, command.rest.letter());
    for value in [command.need, command.want, command.lock] {
        number(call, value);
    }
}

fn request(call: &mut Vec<u8>, parts: &[&str]) {
    header(call, parts.len());
    for part in parts {
        text(call, part);
    }
}

fn header(call: &mut Vec<u8>, parts: usize) {
    call.push(b'*');
    call.extend_from_slice(itoa::Buffer::new().format(parts).as_bytes());
    call.extend_from_slice(b"\r\n");
}

fn text(call: &mut Vec<u8>, text: &str) {
    call.push(b'$');
    call.extend_from_slice(itoa::Buffer::new().format(text.len()).as_bytes());
    call.extend_from_slice(b"\r\n");
    call.extend_from_slice(text.as_bytes());
    call.extend_from_slice(b"\r\n");
}

fn number(call: &mut Vec<u8>, value: u64) {
    text(call, itoa::Buffer::new().format(value));
}

#[cfg(test)]
mod tests;
