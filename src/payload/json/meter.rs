//! The grammar: the tokens that may follow, and their meaning.

use std::sync::Arc;

use super::breach::{Breach, Offsets, Stop};
use super::measures::{Kind, Measures, Use};
use super::number::Number;
use super::rules::JsonRules;
use super::scan;
use super::text::{Read, Text};

/// Measures one JSON body.
#[derive(Clone, Debug)]
pub struct Meter {
    next: Next,
    token: Token,
    measures: Measures,
    /// The number of bytes read.
    bytes: u64,
    breach: Option<Breach>,
}

/// The measurements of a body that keeps the rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Measurements {
    /// The items of the array that the rules name; `None` if there is no such array. Duplicate
    /// names may lead to several arrays: then all of their items.
    pub items: Option<u64>,
}

/// The tokens that may follow the current one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    Value,
    /// A value, or the end of the array that was opened.
    FirstItem,
    /// A name, or the end of the object that was opened.
    FirstName,
    Name,
    /// The colon after a name.
    Colon,
    /// The tokens that may follow a value.
    After,
}

/// The token in which a chunk ended.
#[derive(Clone, Copy, Debug)]
enum Token {
    Whole,
    Text(Use, Text),
    Number(Number),
    /// A literal, of which this is missing.
    Literal(&'static [u8]),
}

impl Meter {
    /// Prepares to read a body. `seed` is a secret of the proxy: it keys the hashes of names.
    #[must_use]
    pub fn new(rules: Arc<JsonRules>, seed: u64) -> Self {
        Self {
            next: Next::Value,
            token: Token::Whole,
            measures: Measures::new(rules, seed),
            bytes: 0,
            breach: None,
        }
    }

    /// Reads the next bytes of the body.
    ///
    /// # Errors
    /// The first breach: if two rules are broken, the one that the earlier byte proves. It stays.
    pub fn feed(&mut self, chunk: &[u8]) -> Result<(), Breach> {
        if let Some(breach) = self.breach {
            return Err(breach);
        }
        self.bytes = self.bytes.saturating_add(chunk.len() as u64);
        let read = self.read(chunk, Offsets { end: self.bytes });
        // A value that is too long because of the same byte or an earlier one takes precedence.
        let seen = read.map_or_else(|stop| stop.at.saturating_add(1), |()| self.bytes);
        match self.measures.overlong(seen).or(read.err()) {
            None => Ok(()),
            Some(stop) => self.refuse(stop.breach),
        }
    }

    /// The number of items so far in arrays at the rules' path.
    #[must_use]
    pub fn items(&self) -> Option<u64> {
        self.measures.items_so_far()
    }

    /// Ends the body.
    ///
    /// # Errors
    /// The earlier breach, or that the body may not end here.
    pub fn finish(&mut self) -> Result<Measurements, Breach> {
        if let Some(breach) = self.breach {
            return Err(breach);
        }
        let whole = match self.token {
            Token::Whole => true,
            Token::Number(number) => number.is_whole(),
            Token::Text(..) | Token::Literal(_) => false,
        };
        if whole && self.next == Next::After && self.measures.kind() == Kind::Body {
            Ok(Measurements {
                items: self.measures.items(),
            })
        } else {
            self.refuse(Breach::Truncated)
        }
    }

    fn refuse<T>(&mut self, breach: Breach) -> Result<T, Breach> {
        self.breach = Some(breach);
        Err(breach)
    }

    fn read(&mut self, bytes: &[u8], offsets: Offsets) -> Result<(), Stop> {
        let rest = match self.token {
            Token::Whole => bytes,
            Token::Text(purpose, text) => self.text(purpose, text, bytes, offsets)?,
            Token::Number(number) => self.number(number, bytes, offsets)?,
            Token::Literal(word) => self.literal(word, bytes, offsets)?,
        };
        self.tokens(rest, offsets)
    }

    /// Reads tokens until the chunk ends, possibly within one.
    fn tokens(&mut self, mut bytes: &[u8], offsets: Offsets) -> Result<(), Stop> {
        let mut next = self.next;
        loop {
            bytes = scan::blank(bytes);
            let [byte, rest @ ..] = bytes else { break };
            let at = offsets.of(bytes);
            (next, bytes) = match (next, byte) {
                (Next::Name | Next::FirstName, b'"') => {
                    self.measures.begin_name(at)?;
                    match self.begin_text(Use::Name, rest, offsets)? {
                        // It almost always follows.
                        [b':', rest @ ..] => (Next::Value, rest),
                        rest => (Next::Colon, rest),
                    }
                }
                (Next::Colon, b':') => (Next::Value, rest),
                (Next::Value | Next::FirstItem, b'"') => {
                    self.measures.begin_value(at)?;
                    self.measures.begin_string();
                    let rest = self.begin_text(Use::Value, rest, offsets)?;
                    self.after(rest)
                }
                (Next::Value | Next::FirstItem, b'{') => {
                    self.open(Kind::Object, at)?;
                    (Next::FirstName, rest)
                }
                (Next::Value | Next::FirstItem, b'[') => {
                    self.open(Kind::Array, at)?;
                    (Next::FirstItem, rest)
                }
                (Next::After, b',') => match self.measures.kind() {
                    Kind::Object => (Next::Name, rest),
                    Kind::Array => (Next::Value, rest),
                    Kind::Body => return Err(Stop::malformed(at)),
                },
                (Next::After | Next::FirstName, b'}') if self.measures.kind() == Kind::Object => {
                    self.measures.close(offsets.of(rest))?;
                    self.after(rest)
                }
                (Next::After | Next::FirstItem, b']') if self.measures.kind() == Kind::Array => {
                    self.measures.close(offsets.of(rest))?;
                    self.after(rest)
                }
                (Next::Value | Next::FirstItem, b't' | b'f' | b'n') => {
                    self.measures.begin_value(at)?;
                    (
                        Next::After,
                        self.literal(literal_tail(*byte), rest, offsets)?,
                    )
                }
                (Next::Value | Next::FirstItem, _) => {
                    let number = Number::begin(*byte).ok_or(Stop::malformed(at))?;
                    self.measures.begin_value(at)?;
                    let rest = self.number(number, rest, offsets)?;
                    self.after(rest)
                }
                _ => return Err(Stop::malformed(at)),
            };
        }
        self.next = next;
        Ok(())
    }

    #[inline(always)]
    fn open(&mut self, kind: Kind, at: u64) -> Result<(), Stop> {
        self.measures.begin_value(at)?;
        self.measures.open(kind, at)
    }

    /// The grammar after a value, or after the comma if one follows.
    #[inline(always)]
    fn after<'c>(&self, bytes: &'c [u8]) -> (Next, &'c [u8]) {
        match (bytes, self.measures.kind()) {
            ([b',', rest @ ..], Kind::Object) => (Next::Name, rest),
            ([b',', rest @ ..], Kind::Array) => (Next::Value, rest),
            _ => (Next::After, bytes),
        }
    }

    /// Reads a string that has begun. Most strings end in their chunk and have no escapes; they
    /// take the fast path.
    #[inline(always)]
    fn begin_text<'c>(
        &mut self,
        purpose: Use,
        bytes: &'c [u8],
        offsets: Offsets,
    ) -> Result<&'c [u8], Stop> {
        let plain = scan::plain(bytes);
        match plain.rest {
            [b'"', rest @ ..] if plain.ascii => {
                self.measures
                    .whole_text(purpose, plain.run, offsets.of(rest))?;
                Ok(rest)
            }
            _ => self.text(purpose, Text::Plain, bytes, offsets),
        }
    }

    #[inline(never)]
    fn text<'c>(
        &mut self,
        purpose: Use,
        text: Text,
        bytes: &'c [u8],
        offsets: Offsets,
    ) -> Result<&'c [u8], Stop> {
        let measures = &mut self.measures;
        match text.read(bytes, offsets, |piece, last| {
            measures.push_text(purpose, piece, last)
        })? {
            Read::Open(text) => {
                self.token = Token::Text(purpose, text);
                Ok(&[])
            }
            Read::Ended(rest) => {
                self.token = Token::Whole;
                measures.end_text(purpose, offsets.of(rest))?;
                Ok(rest)
            }
        }
    }

    #[inline]
    fn number<'c>(
        &mut self,
        number: Number,
        bytes: &'c [u8],
        offsets: Offsets,
    ) -> Result<&'c [u8], Stop> {
        let (number, rest) = number.read(bytes);
        if rest.is_empty() {
            self.token = Token::Number(number);
            return Ok(rest);
        }
        if !number.is_whole() {
            return Err(Stop::malformed(offsets.of(rest)));
        }
        self.token = Token::Whole;
        self.measures.end_value(offsets.of(rest))?;
        Ok(rest)
    }

    fn literal<'c>(
        &mut self,
        word: &'static [u8],
        bytes: &'c [u8],
        offsets: Offsets,
    ) -> Result<&'c [u8], Stop> {
        let (mut word, mut bytes) = (word, bytes);
        while let ([letter, letters @ ..], [byte, rest @ ..]) = (word, bytes) {
            if letter != byte {
                return Err(Stop::malformed(offsets.of(bytes)));
            }
            (word, bytes) = (letters, rest);
        }
        if !word.is_empty() {
            self.token = Token::Literal(word);
            return Ok(bytes);
        }
        self.token = Token::Whole;
        self.measures.end_value(offsets.of(bytes))?;
        Ok(bytes)
    }
}

impl Meter {
    /// The bytes allocated outside of the meter itself.
    #[must_use]
    pub fn memory(&self) -> usize {
        self.measures.memory()
    }
}

/// The rest of the literal that begins with `first`.
#[inline(always)]
const fn literal_tail(first: u8) -> &'static [u8] {
    match first {
        b't' => b"rue",
        b'f' => b"alse",
        _ => b"ull",
    }
}
