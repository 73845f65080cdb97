//! Documents that are not a tree: the messages, and the parts that no message repeats.

use super::*;
use prost::Message as _;

#[test]
#[expect(clippy::too_many_lines, reason = "one table of cases")]
fn yaml_errors_are_told_in_our_words() {
    for (text, message) in [
        ("", "the document is empty"),
        ("# nothing\n", "the document is empty"),
        (
            "a: 'x\nb: 2\n",
            "line 1, column 4: an unclosed quote, or its text continues without indentation",
        ),
        (
            "a: \"x",
            "line 1, column 4: an unclosed quote, or its text continues without indentation",
        ),
        ("a: 'it's'", "line 1, column 8: text after a closing quote"),
        (
            "a: \"\\q\"",
            "line 1, column 4: an unknown escape after a backslash",
        ),
        (
            "a: [1, 2\nb: 2\n",
            "line 2, column 2: an unclosed bracket, or a comma is missing",
        ),
        (
            "a: {b: 2",
            "line 2, column 1: an unclosed bracket, or a comma is missing",
        ),
        (
            "a: [1]]",
            "line 1, column 7: a closing bracket without an opening one",
        ),
        (
            "a: b: c",
            "line 1, column 5: a second `: ` in one value: put a text with `: ` in quotes, or \
             begin a new line",
        ),
        (
            "a: 1\n  b: 2",
            "line 2, column 4: a second `: ` in one value: put a text with `: ` in quotes, or \
             begin a new line",
        ),
        (
            "a: - b",
            "line 1, column 4: a second `: ` in one value: put a text with `: ` in quotes, or \
             begin a new line",
        ),
        (
            "a:\n\tb: c",
            "line 2, column 2: a tab instead of indentation or a blank: use blanks",
        ),
        (
            "a:\t1",
            "line 1, column 4: a tab instead of indentation or a blank: use blanks",
        ),
        (
            "a:\n  b: 1\n c: 2",
            "line 3, column 2: the indentation matches no line above",
        ),
        (
            "- a\nb: 2",
            "line 2, column 1: the indentation matches no line above",
        ),
        (
            "a: 1\nb\n",
            "line 3, column 1: expected `key: value` before this",
        ),
        (
            "a: @x",
            "line 1, column 4: a text that begins with @, ` or % must be in quotes",
        ),
        (
            "a: *b",
            "line 1, column 4: an alias without a complete anchor above it",
        ),
        ("a: |0\n x", "line 1, column 4: not valid YAML"),
        (
            "a: 1\n---\nb: 2",
            "line 2: something follows the document: there may be only one",
        ),
        (
            "{\"a\":1} x",
            "line 1, column 9: something follows the document: there may be only one",
        ),
        (
            "limits: [{1: x}]",
            "line 1: /limits/0: a key must be a string (a number in quotes)",
        ),
        (
            "true: x",
            "line 1: a key must be a string (a number in quotes)",
        ),
        (
            "? [a]\n: b",
            "line 1: a key must be a string (a number in quotes)",
        ),
        (
            "a: &a b\n*a : c",
            "line 2: a key must be a string (a number in quotes)",
        ),
    ] {
        assert_eq!(yaml(text), message, "{text}");
    }
}

#[test]
fn json_errors_are_told_in_our_words() {
    for (text, message) in [
        (b" ".as_slice(), "the document is empty"),
        (b"{\"a\":", "line 1, column 5: the JSON text ends too early"),
        (
            b"{\"a\":1}\n}",
            "line 2, column 1: something follows the end of the JSON text",
        ),
        (b"[1,]", "line 1, column 4: a comma with nothing after it"),
        (
            b"[1 2]",
            "line 1, column 4: a comma or a closing bracket is missing",
        ),
        (
            b"{\"a\" 1}",
            "line 1, column 6: a colon is missing after the key",
        ),
        (
            b"{1: 2}",
            "line 1, column 2: a key must be a string (a number in quotes)",
        ),
        (
            b"[\"\xff\"]",
            "line 1, column 3: the text is not valid UTF-8",
        ),
        (
            b"[\"\\ud800\"]",
            "line 1, column 9: the text is not valid UTF-8",
        ),
        (
            b"[\"\n\"]",
            "line 2: a line break, tab or control character inside a JSON string",
        ),
        (
            b"[\"\\q\"]",
            "line 1, column 4: an unknown escape after a backslash",
        ),
        (b"[nil]", "line 1, column 3: not valid JSON"),
        (b"[01]", "line 1, column 3: not valid JSON"),
    ] {
        assert_eq!(json(text), message, "{}", text.escape_ascii());
    }
}

/// A document with the marker as each possible value, and as a key in the directory.
const SECRETS: &str = r#"# s3cret
version: s3cret
callers:
  credentials:
    - { name: s3cret, header: "s3cret" }
  directory:
    - { sha256: s3cret, org: &x 's3cret', s3cret: "s3cret \n" }
    - &s3cret
      s3cret: *x
      more: [s3cret, { s3cret: s3cret }]
  unknown: >-
    s3cret
    s3cret
limits:
  - name: !!str s3cret
    bucket: { burst: 100, refill: s3cret }   # s3cret
    over: |
      s3cret
"#;

/// All variants of a document with one part broken, as its author or a host might.
fn breakages(good: &[u8]) -> impl Iterator<Item = Vec<u8>> {
    const ADDED: [&[u8]; 24] = [
        b"\"", b"'", b"{", b"}", b"[", b"]", b",", b":", b": ", b"\n", b"\n\t", b"\t", b"- ",
        b"? ", b"&", b"*", b"!", b"@", b"\\", b"#", b"%", b"\0", b"\x12", b"\xff",
    ];
    let cuts = (0..good.len()).flat_map(move |at| [good[..at].to_vec(), good[at..].to_vec()]);
    let losses = (0..good.len()).map(move |at| [&good[..at], &good[at + 1..]].concat());
    let additions = (0..=good.len()).flat_map(move |at| {
        ADDED
            .iter()
            .map(move |added| [&good[..at], *added, &good[at..]].concat())
    });
    cuts.chain(losses).chain(additions)
}

fn check_silence(read: Result<Node, SyntaxError>, document: &[u8]) -> bool {
    let Err(error) = read else { return false };
    let message = format!("{error} {error:?}");
    assert!(
        !message.contains("s3c"),
        "{message}\n{}",
        document.escape_ascii()
    );
    true
}

#[test]
fn no_error_repeats_a_secret() {
    let tree = from_yaml(SECRETS).unwrap();
    let json = tree.to_json();
    let mut refused = 0;
    for document in breakages(SECRETS.as_bytes()) {
        let text = String::from_utf8_lossy(&document);
        refused += usize::from(check_silence(from_yaml(&text), &document));
    }
    for document in breakages(json.as_bytes()) {
        refused += usize::from(check_silence(from_configuration(&document), &document));
        refused += usize::from(check_silence(
            from_yaml(&String::from_utf8_lossy(&document)),
            &document,
        ));
    }
    for document in breakages(&fields(&tree).encode_to_vec()) {
        refused += usize::from(check_silence(from_configuration(&document), &document));
    }
    assert!(
        refused > 10_000,
        "only {refused} of these were broken at all"
    );
    assert!(!format!("{tree:?}").contains("s3c"));
}

#[test]
fn a_tree_can_be_logged() {
    assert_eq!(
        format!("{:?}", from_yaml("\na: s3cret").unwrap()),
        "Node { value: a map, line: 2 }"
    );
}
