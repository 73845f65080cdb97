use proptest::prelude::*;

use super::*;

fn first(raw: &[u8]) -> PathBuffer {
    let mut path = PathBuffer::new();
    path.read(raw);
    path
}

fn segments(path: &PathBuffer) -> Vec<Vec<u8>> {
    path.segments().map(<[u8]>::to_vec).collect()
}

/// All readings, the coarsest first.
fn all(raw: &[u8]) -> Vec<Vec<Vec<u8>>> {
    let mut path = first(raw);
    let mut all = vec![segments(&path)];
    if let Some(mut readings) = Readings::of(raw) {
        while readings.next(&mut path) {
            all.push(segments(&path));
        }
    }
    all
}

#[test]
fn a_path_that_readers_take_apart_differently_has_all_their_readings() {
    for (raw, expected) in [
        ("/v2/a", &["v2|a"][..]),
        ("/v2/a/?x=%2f;", &["v2|a"]),
        ("/v2/%61%20b", &["v2|a b"]),
        ("/v2/group%2Fname", &["v2|group|name", "v2|group/name"]),
        (
            "/v2/group%2Fname/a",
            &["v2|group|name|a", "v2|group/name|a"],
        ),
        ("/v2\\a", &["v2|a", "v2\\a"]),
        ("/v2%5Ca", &["v2|a", "v2\\a"]),
        ("/v2//a", &["v2|a", "v2||a"]),
        ("//v2/a", &["v2|a", "|v2|a"]),
        ("/v2;x/a;y", &["v2|a", "v2;x|a;y"]),
        ("/v2/;x/a", &["v2|a", "v2||a", "v2|;x|a"]),
        ("/v2/%252574", &["v2|%2574"]),
        ("/v2%252fa", &["v2%2fa", "v2/a", "v2|a"]),
    ] {
        let found = all(raw.as_bytes());
        let found: Vec<String> = found
            .iter()
            .map(|path| String::from_utf8(path.join(&b'|')).unwrap())
            .collect();
        assert_eq!(found[0], expected[0], "{raw}: the coarsest is the first");
        let mut once = found.clone();
        once.sort();
        once.dedup();
        let mut expected: Vec<_> = expected.to_vec();
        expected.sort_unstable();
        assert_eq!(once, expected, "{raw}");
        assert_eq!(
            ambiguity(raw.as_bytes(), &first(raw.as_bytes())),
            None,
            "{raw}"
        );
    }
}

#[test]
fn a_path_that_no_readings_cover_is_ambiguous() {
    let long = format!("/a%2Fb/{}", "c".repeat(LONG));
    let plain = format!("/a%20b/{}", "c".repeat(LONG));
    for (raw, why) in [
        ("/v2/x%2f..%2f..", Some(Ambiguity::DotSegment)),
        ("/v2/x%5c..", Some(Ambiguity::DotSegment)),
        ("/v2/./a", Some(Ambiguity::DotSegment)),
        ("/v2/..", Some(Ambiguity::DotSegment)),
        ("/..", Some(Ambiguity::DotSegment)),
        ("/v2/%2E%2e/a", Some(Ambiguity::DotSegment)),
        ("/v2/.%2e;x=1/a", Some(Ambiguity::DotSegment)),
        ("/v2/..;/a", Some(Ambiguity::DotSegment)),
        ("/v2\\..\\a", Some(Ambiguity::DotSegment)),
        ("/v2//../a", Some(Ambiguity::DotSegment)),
        ("/a%252f..%252fv2", Some(Ambiguity::DotSegment)),
        ("/a/%252e%252e/v2", Some(Ambiguity::DotSegment)),
        ("/v2/a%00", Some(Ambiguity::Nul)),
        ("/v2/%c0%ae%c0%ae/a", Some(Ambiguity::Overlong)),
        ("/v2%C0%AFa", Some(Ambiguity::Overlong)),
        ("/v2/%e0%80%af", Some(Ambiguity::Overlong)),
        ("/v2/%f0%80%80%af", Some(Ambiguity::Overlong)),
        ("/v2/a#/../b", Some(Ambiguity::Fragment)),
        (&long, Some(Ambiguity::Long)),
        (&plain, None),
        ("/v2/a?/../#%00", None),
        ("/v2/...", None),
        ("/v2/.a/a./..a", None),
        ("/v2/caf%C3%A9", None),
        ("/v2/%c0/a", None),
        ("/v2/100%", None),
        ("/v2/%zz/%2", None),
        ("/v2/a/%2574imeseries", None),
        ("*", None),
        ("", None),
    ] {
        assert_eq!(
            ambiguity(raw.as_bytes(), &first(raw.as_bytes())),
            why,
            "{raw}"
        );
    }
}

/// One reading of a path, written as simply as possible: replace each byte that counts as a slash
/// by a line break, split there, then convert each segment.
fn oracle(raw: &[u8], reader: Reader, twice: bool) -> Vec<Vec<u8>> {
    let path: String = raw
        .split(|byte| *byte == b'?')
        .next()
        .unwrap()
        .iter()
        .map(|byte| char::from(*byte))
        .collect();
    let path = if twice { once(&path) } else { path };
    let mut path = path.strip_prefix('/').unwrap_or(&path).replace('/', "\n");
    if reader.backslash {
        path = path.replace('\\', "\n");
    }
    if reader.encoded {
        path = path.replace("%2f", "\n").replace("%2F", "\n");
    }
    if reader.encoded && reader.backslash {
        path = path.replace("%5c", "\n").replace("%5C", "\n");
    }
    let segments = path.split('\n').map(|segment| {
        if reader.cut {
            segment.split(';').next().unwrap()
        } else {
            segment
        }
    });
    let mut segments: Vec<Vec<u8>> = segments
        .map(|it| once(it).chars().map(|char| char as u8).collect())
        .collect();
    segments.retain(|segment| reader.empty || !segment.is_empty());
    while segments.last().is_some_and(Vec::is_empty) {
        segments.pop();
    }
    segments
}

/// Decodes the escapes that the alphabet of the test contains.
fn once(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let code = rest
            .get(1..3)
            .filter(|_| first == '%')
            .and_then(|hex| u8::from_str_radix(hex, 16).ok());
        let (char, taken) = code.map_or((first, first.len_utf8()), |code| (char::from(code), 3));
        out.push(char);
        rest = rest.get(taken..).unwrap_or_default();
    }
    out
}

fn bools() -> impl Iterator<Item = bool> {
    [false, true].into_iter()
}

proptest! {
    #[test]
    fn whatever_a_reader_takes_a_path_for_is_a_reading_or_refused(
        parts in prop::collection::vec(
            prop::sample::select(vec![
                "/", "/", "a", "v2", ".", "..", "%2e", "%2F", "%5C", "\\", ";", "%3B", "%61", "%",
                "%25", "%252f", "%252E", "%255c", "//", "?",
            ]),
            0..12,
        ),
    ) {
        let raw = format!("/{}", parts.concat());
        let raw = raw.as_bytes();
        let refused = ambiguity(raw, &first(raw)).is_some();
        let readings = all(raw);
        for twice in bools() {
            for (encoded, backslash) in
                bools().flat_map(|one| bools().map(move |other| (one, other)))
            {
                for (cut, empty) in bools().flat_map(|one| bools().map(move |other| (one, other))) {
                    let reader = Reader {
                        encoded,
                        backslash,
                        cut,
                        empty,
                    };
                    let segments = oracle(raw, reader, twice);
                    let dots = segments.iter().any(|it| matches!(&it[..], b"." | b".."));
                    // Decoding twice is a reading only if it yields a dot or a separator.
                    let known = !twice || decodes_twice(&decoded(path_of(raw)));
                    prop_assert!(
                        !dots || refused || !known,
                        "{:?} {:?}: \
                        {:?}",
                        parts.concat(),
                        reader,
                        segments
                    );
                    prop_assert!(
                        refused || !known || readings.contains(&segments),
                        "{:?} {:?} {}: {:?} is not in \
                         {:?}",
                        parts.concat(),
                        reader,
                        twice,
                        segments,
                        readings,
                    );
                }
            }
        }
    }

    #[test]
    fn a_plain_path_is_read_as_any_other_and_has_one_reading(
        parts in prop::collection::vec(
            prop::sample::select(vec!["/", "/", "a", "v2", ".", "..", "?", "%2F", ";", "\\", "#"]),
            0..8,
        ),
    ) {
        let raw = parts.concat();
        let (raw, mut slowly) = (raw.as_bytes(), PathBuffer::new());
        slowly.read_as(path_of(raw), Reader::COARSEST);
        prop_assert_eq!(segments(&first(raw)), segments(&slowly));
        if first(raw).is_plain() {
            prop_assert_eq!(ambiguity(raw, &slowly), None);
            prop_assert!(Readings::of(raw).is_none());
        }
    }

    #[test]
    fn any_bytes_are_read(
        raw in prop::collection::vec(
            prop_oneof![4 => prop::sample::select(b"/.%2eEfF5cC?#\\;a".to_vec()), 1 => any::<u8>()],
            0..40,
        ),
    ) {
        let _ = ambiguity(&raw, &first(&raw));
        prop_assert!(all(&raw).len() <= 32);
    }
}
