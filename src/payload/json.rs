//! JSON, measured as it streams: RFC 8259 to the letter, in any chunking, without a copy of it.
//!
//! ```text
//! chunk ─▶ lexer: white space, texts, numbers, words ─▶ stack of open arrays and objects ─▶ bounds
//!           one state between two bytes                  a frame each, `depth` at most
//! ```
//!
//! What is remembered is the stack, and of the name or text at hand as many bytes as a policy can name.
//! There is no recursion. The answer is the same however the bytes are cut, and it is found at the first
//! byte that proves it (decision 0014).

mod number;
mod path;
mod rules;
mod stack;
mod text;

use std::rc::Rc;

pub use path::{JsonPath, PATH_BYTES_MAX, PATH_TOKENS_MAX, PathError};
pub use rules::{DEPTH_MAX, DEPTH_USUAL, JsonRules, NAMES_MAX, ObjectsRule, ValueRule};

use number::Number;
use stack::{Container, Stack};
use text::Text;

/// Why a document is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Breach {
    /// It is not JSON, from the byte with this number on, counted from 0.
    Malformed {
        /// The byte; the document's length where it ended too soon.
        at: u64,
    },
    /// It is more than a bound allows.
    Over(Bound),
}

/// What bounds a document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bound {
    /// [`JsonRules::depth`].
    Depth,
    /// [`ValueRule::bytes`].
    ValueBytes,
    /// [`ObjectsRule::count`].
    ObjectCount,
    /// [`ObjectsRule::depth`].
    ObjectDepth,
    /// [`JsonRules::array_items`].
    ArrayItems,
    /// [`JsonRules::members`].
    Members,
    /// [`JsonRules::string_bytes`].
    StringBytes,
    /// [`JsonRules::name_bytes`].
    NameBytes,
    /// [`JsonRules::refuse_duplicate_names`]; also where more than [`NAMES_MAX`] names are open.
    DuplicateNames,
}

/// Measures one document.
#[derive(Debug)]
pub struct JsonMeter {
    stack: Stack,
    state: State,
    /// Bytes of earlier chunks.
    before: u64,
    broken: Option<Breach>,
}

/// What may come next.
#[derive(Clone, Copy, Debug)]
enum State {
    /// A value.
    Value,
    /// The first item of an array, or its end.
    FirstItem,
    /// The first name of an object, or its end.
    FirstName,
    /// A name.
    Name,
    /// The colon behind a name.
    Colon,
    /// A comma, or the end of the array or object.
    Comma,
    /// Nothing: the document is whole.
    End,
    /// The rest of a name or text.
    Text(Text),
    /// The rest of a number.
    Number(Number),
    /// The rest of `true`, `false` or `null`.
    Word(&'static [u8]),
}

impl JsonMeter {
    /// Measures a document by `rules`.
    #[must_use]
    pub fn new(rules: Rc<JsonRules>) -> Self {
        Self { stack: Stack::new(rules), state: State::Value, before: 0, broken: None }
    }

    /// Takes the next bytes.
    ///
    /// # Errors
    /// Why the document is refused, then and ever after.
    pub fn feed(&mut self, chunk: &[u8]) -> Result<(), Breach> {
        if let Some(breach) = self.broken {
            return Err(breach);
        }
        let fed = self.read(chunk);
        self.before = self.before.saturating_add(count(chunk));
        self.broken = fed.err();
        fed
    }

    /// Ends the document.
    ///
    /// # Errors
    /// [`Breach::Malformed`] where it ended too soon, else why it was refused before.
    pub fn finish(&mut self) -> Result<(), Breach> {
        if let Some(breach) = self.broken {
            return Err(breach);
        }
        let number = if let State::Number(number) = self.state { number.is_whole() } else { false };
        let ended = if number { self.end_value(self.before) } else { Ok(()) };
        let whole = || if matches!(self.state, State::End) { Ok(()) } else { Err(self.malformed(0)) };
        let finished = ended.and_then(|()| whole());
        self.broken = finished.err();
        finished
    }

    /// Items that the array at [`JsonRules::items`] has so far; `None` where none was seen there.
    #[must_use]
    pub fn items(&self) -> Option<u64> {
        self.stack.items()
    }

    fn malformed(&self, index: usize) -> Breach {
        Breach::Malformed { at: self.offset(index) }
    }

    /// The number of the byte at `index` of this chunk.
    fn offset(&self, index: usize) -> u64 {
        self.before.saturating_add(u64::try_from(index).unwrap_or(u64::MAX))
    }

    fn read(&mut self, chunk: &[u8]) -> Result<(), Breach> {
        let mut index = 0;
        while let Some(rest) = chunk.get(index..).filter(|rest| !rest.is_empty()) {
            // A value that may have so many bytes more ends with the next one, or is too large.
            let left = self.stack.bytes_left(self.offset(index));
            let rest = left.and_then(|left| rest.get(..usize::try_from(left).ok()?.saturating_add(1))).unwrap_or(rest);
            let read = self.step(rest, index)?;
            index = index.saturating_add(read);
            self.stack.check_value(self.offset(index))?;
        }
        Ok(())
    }

    /// Reads from the beginning of `rest`, which is not empty, as far as one state goes; how many bytes.
    fn step(&mut self, rest: &[u8], index: usize) -> Result<usize, Breach> {
        match self.state {
            State::Text(mut text) => {
                let read = text.read(rest, &mut self.stack).map_err(|breach| self.placed(breach, index))?;
                if text.is_whole() {
                    self.end_text(text, index, read)?
                } else {
                    self.state = State::Text(text)
                }
                return Ok(read);
            }
            State::Number(mut number) => {
                let read = rest.iter().take_while(|byte| number.accepts(**byte)).count();
                self.state = State::Number(number);
                if read < rest.len() {
                    let end = index.saturating_add(read);
                    if !number.is_whole() {
                        return Err(self.malformed(end));
                    }
                    self.end_value(self.offset(end))?;
                }
                return Ok(read);
            }
            State::Word(word) => {
                let read = rest.iter().zip(word).take_while(|(byte, wanted)| byte == wanted).count();
                let left = word.get(read..).unwrap_or_default();
                if left.is_empty() {
                    self.end_value(self.offset(index.saturating_add(read)))?;
                } else if read < rest.len() {
                    return Err(self.malformed(index.saturating_add(read)));
                } else {
                    self.state = State::Word(left);
                }
                return Ok(read);
            }
            State::Value
            | State::FirstItem
            | State::FirstName
            | State::Name
            | State::Colon
            | State::Comma
            | State::End => {}
        }
        let blank = rest.iter().take_while(|byte| matches!(byte, b' ' | b'\t' | b'\n' | b'\r')).count();
        let Some(byte) = rest.get(blank) else { return Ok(blank) };
        self.structure(*byte, index.saturating_add(blank))?;
        Ok(blank.saturating_add(1))
    }

    /// One byte between names and values.
    fn structure(&mut self, byte: u8, index: usize) -> Result<(), Breach> {
        let (here, behind) = (self.offset(index), self.offset(index.saturating_add(1)));
        match (self.state, byte) {
            (State::FirstItem, b']') => self.close(Container::Array, behind),
            (State::FirstName, b'}') => self.close(Container::Object, behind),
            (State::Value | State::FirstItem, byte) => self.begin_value(byte, here),
            (State::FirstName | State::Name, b'"') => {
                let collect = self.stack.begin_name().map_err(Breach::Over)?;
                self.state = State::Text(Text::name(collect));
                Ok(())
            }
            (State::Colon, b':') => {
                self.state = State::Value;
                Ok(())
            }
            (State::Comma, b',') => {
                self.state = match self.stack.container() {
                    Some(Container::Object) => State::Name,
                    Some(Container::Array) | None => State::Value,
                };
                Ok(())
            }
            (State::Comma, b']') if self.stack.container() == Some(Container::Array) => {
                self.close(Container::Array, behind)
            }
            (State::Comma, b'}') if self.stack.container() == Some(Container::Object) => {
                self.close(Container::Object, behind)
            }
            _ => Err(self.malformed(index)),
        }
    }

    fn begin_value(&mut self, byte: u8, here: u64) -> Result<(), Breach> {
        let (next, container) = match byte {
            b'{' => (State::FirstName, Some(Container::Object)),
            b'[' => (State::FirstItem, Some(Container::Array)),
            b'"' => (State::Text(Text::value(self.stack.wants_text())), None),
            b't' => (State::Word(b"rue"), None),
            b'f' => (State::Word(b"alse"), None),
            b'n' => (State::Word(b"ull"), None),
            _ => (State::Number(Number::begin(byte).ok_or(Breach::Malformed { at: here })?), None),
        };
        self.stack.begin_value(here).map_err(Breach::Over)?;
        if let Some(container) = container {
            self.stack.open(container).map_err(Breach::Over)?;
        }
        self.state = next;
        Ok(())
    }

    fn close(&mut self, container: Container, behind: u64) -> Result<(), Breach> {
        debug_assert_eq!(self.stack.container(), Some(container));
        self.stack.close();
        self.end_value(behind)
    }

    fn end_text(&mut self, text: Text, index: usize, read: usize) -> Result<(), Breach> {
        if text.is_name() {
            self.state = State::Colon;
            return self.stack.end_name().map_err(Breach::Over);
        }
        self.stack.end_text().map_err(Breach::Over)?;
        self.end_value(self.offset(index.saturating_add(read)))
    }

    fn end_value(&mut self, behind: u64) -> Result<(), Breach> {
        self.state = if self.stack.container().is_some() { State::Comma } else { State::End };
        self.stack.end_value(behind).map_err(Breach::Over)
    }

    /// A breach of a text, which counts from where that was read on.
    fn placed(&self, breach: Breach, index: usize) -> Breach {
        match breach {
            Breach::Malformed { at } => Breach::Malformed { at: self.offset(index).saturating_add(at) },
            Breach::Over(bound) => Breach::Over(bound),
        }
    }
}

fn count(bytes: &[u8]) -> u64 {
    u64::try_from(bytes.len()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
