//! Arbitrary bodies: few names and texts, so that they coincide; in any order, with white space and
//! escapes.

use std::fmt::Write as _;

use proptest::prelude::*;

/// A value before it is written.
#[derive(Clone, Debug)]
enum Doc {
    Scalar(&'static str),
    Text(String),
    Array(Vec<Doc>),
    Object(Vec<(String, Doc)>),
}

fn text() -> impl Strategy<Value = String> {
    let word = prop::sample::select(vec![
        "item",
        "items",
        "",
        "a\"\\/\n\u{1}",
        "ü€😀",
        "other",
        "0123456789abcdef",
    ]);
    prop_oneof![4 => word.prop_map(str::to_owned), 1 => any::<String>()]
}

fn name() -> impl Strategy<Value = String> {
    let word = prop::sample::select(vec!["type", "type", "a", "a", "b", "", "0", "types", "ü"]);
    prop_oneof![9 => word.prop_map(str::to_owned), 1 => text()]
}

fn member(value: impl Strategy<Value = Doc>) -> impl Strategy<Value = (String, Doc)> {
    let item = || ("type".to_owned(), Doc::Text("item".to_owned()));
    prop_oneof![3 => (name(), value), 1 => Just(()).prop_map(move |()| item())]
}

fn doc() -> impl Strategy<Value = Doc> {
    let scalar = prop::sample::select(vec![
        "0",
        "-12.5e+3",
        "true",
        "false",
        "null",
        "1234567890123456789",
    ]);
    let item = Just(Doc::Text("item".to_owned()));
    let leaf =
        prop_oneof![2 => scalar.prop_map(Doc::Scalar), 1 => text().prop_map(Doc::Text), 1 => item];
    leaf.prop_recursive(7, 60, 5, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Doc::Array),
            prop::collection::vec(member(inner), 0..5).prop_map(Doc::Object),
        ]
    })
}

/// A valid body.
pub(super) fn body() -> impl Strategy<Value = Vec<u8>> {
    written(|writer, text| writer.text(text))
}

/// A valid body without escapes.
pub(super) fn plain_body() -> impl Strategy<Value = String> {
    written(|writer: &mut Writer, text: &str| {
        let text = text.replace(
            |letter| letter < ' ' || letter == '"' || letter == '\\',
            "~",
        );
        writer.out.extend(["\"", &text, "\""]);
    })
    .prop_map(|body| String::from_utf8(body).unwrap())
}

fn written(text: fn(&mut Writer, &str)) -> impl Strategy<Value = Vec<u8>> {
    (doc(), prop::collection::vec(any::<u8>(), 1..20)).prop_map(move |(doc, choices)| {
        let mut writer = Writer {
            out: String::new(),
            text,
            choices,
            next: 0,
        };
        writer.space();
        writer.value(&doc);
        writer.space();
        writer.out.into_bytes()
    })
}

/// A valid body with a few of its bytes changed, and so usually invalid.
pub(super) fn damaged() -> impl Strategy<Value = Vec<u8>> {
    let byte = prop_oneof![
        prop::sample::select(
            b"[]{},:\"\\ \n-+.eE019tfnu/d8DcC\x80\xBF\xC2\xE0\xED\xF0\xF4\xFF\x00".to_vec()
        ),
        any::<u8>(),
    ];
    let change = (any::<prop::sample::Index>(), 0..4_u8, byte);
    (body(), prop::collection::vec(change, 0..4)).prop_map(|(mut body, changes)| {
        for (at, kind, byte) in changes {
            let at = at.index(body.len() + 1);
            match kind {
                0 => body.insert(at, byte),
                1 => body.truncate(at),
                _ if at == body.len() => body.push(byte),
                2 => body[at] = byte,
                _ => drop(body.remove(at)),
            }
        }
        body
    })
}

/// Writes a value. `choices`, repeated, decides between the alternatives of the grammar.
struct Writer {
    out: String,
    /// Writes a string.
    text: fn(&mut Self, &str),
    choices: Vec<u8>,
    next: usize,
}

impl Writer {
    fn choice(&mut self, of: u8) -> u8 {
        self.next += 1;
        self.choices[self.next % self.choices.len()] % of
    }

    fn space(&mut self) {
        let space = ["", "", "", " ", "\n", "\t\r", "\n            "][usize::from(self.choice(7))];
        self.out.push_str(space);
    }

    fn text(&mut self, text: &str) {
        let style = self.choice(4);
        self.out.push('"');
        for character in text.chars() {
            match (style, character) {
                (0, _) => {
                    for unit in character.encode_utf16(&mut [0; 2]) {
                        write!(self.out, "\\u{unit:04x}").unwrap();
                    }
                }
                (_, '\n') => self.out.push_str("\\n"),
                (_, '"' | '\\') => self.out.extend(['\\', character]),
                (_, '\0'..' ') => write!(self.out, "\\u{:04X}", u32::from(character)).unwrap(),
                _ => self.out.push(character),
            }
        }
        self.out.push('"');
    }

    fn value(&mut self, doc: &Doc) {
        match doc {
            Doc::Scalar(word) => self.out.push_str(word),
            Doc::Text(text) => (self.text)(self, text),
            Doc::Array(items) => self.list(items, ['[', ']'], Self::value),
            Doc::Object(members) => self.list(members, ['{', '}'], |writer, (name, value)| {
                (writer.text)(writer, name);
                writer.space();
                writer.out.push(':');
                writer.space();
                writer.value(value);
            }),
        }
    }

    fn list<T>(&mut self, entries: &[T], brackets: [char; 2], write: impl Fn(&mut Self, &T)) {
        self.out.push(brackets[0]);
        self.space();
        for (index, entry) in entries.iter().enumerate() {
            if index > 0 {
                self.out.push(',');
                self.space();
            }
            write(self, entry);
            self.space();
        }
        self.out.push(brackets[1]);
    }
}
