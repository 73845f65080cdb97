//! Hostile clients: a meter keeps little for every body.

use super::*;

/// The most that a meter may allocate outside of itself, names not counted.
const KEPT_MAX: usize = 16 * 2 * DEPTH_MAX as usize;

fn meter(words: &str) -> Meter {
    Meter::new(Arc::new(rules(words)), SEED)
}

#[test]
fn a_million_brackets_open_no_more_than_the_depth() {
    for (brackets, depth) in [
        ("[", 1),
        ("[", 128),
        ("[", DEPTH_MAX),
        ("{\"a\":", DEPTH_MAX),
        ("[", u32::MAX),
    ] {
        let body = brackets.repeat(1_000_000);
        let mut meter = meter(&format!("depth={depth}"));
        let limit = depth.min(DEPTH_MAX);
        assert_eq!(meter.feed(body.as_bytes()), Err(Breach::Depth { limit }));
        assert!(meter.memory() <= KEPT_MAX, "{} bytes kept", meter.memory());
    }
}

#[test]
fn no_policy_allows_more_than_the_greatest_depth() {
    let most = DEPTH_MAX as usize;
    let body = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
    assert!(feed_all(&rules("depth=1024"), [body(most).as_bytes()]).is_ok());
    assert!(feed_all(&rules("depth=1024"), [body(most + 1).as_bytes()]).is_err());
    assert!(feed_all(&rules(""), [body(128).as_bytes()]).is_ok());
    assert!(feed_all(&rules(""), [body(129).as_bytes()]).is_err());
}

#[test]
fn a_long_string_is_not_kept() {
    let chunk = vec![b'a'; 64 * 1024];
    let mut meter =
        meter("value=/a:1000000000 count=:1 items=/b unique members=9 string_bytes=104857600");
    meter.feed(b"{\"a\":\"").unwrap();
    let kept = meter.memory();
    for _ in 0..1_600 {
        meter.feed(&chunk).unwrap();
    }
    assert_eq!(meter.memory(), kept);
    assert_eq!(
        meter.clone().feed(b"a"),
        Err(Breach::StringBytes { limit: 104_857_600 })
    );
    meter.feed(b"\"}").unwrap();
    assert!(meter.finish().is_ok());
}

#[test]
fn long_numbers_names_and_white_space_are_not_kept() {
    for (start, repeated, end) in [
        ("", "1", ""),
        ("1e", "0", ""),
        ("", " ", "1"),
        ("{\"", "a", "\":1}"),
        ("{\"", "\\u0000", "\":1}"),
        ("\"", "\u{10FFFF}", "\""),
        ("[1", ",1", "]"),
        ("[{}", ",{\"a\":[]}", "]"),
        ("{\"\":[]", ",\"type\":\"item\"", "}"),
    ] {
        let chunk = repeated.repeat(10_000);
        let mut meter = meter("value=/aaa:9 count=:1 items=/aaa");
        meter.feed(start.as_bytes()).unwrap();
        meter.feed(chunk.as_bytes()).unwrap();
        let kept = meter.memory();
        for _ in 0..20 {
            // Cut at a different offset each time.
            let (left, right) = chunk.as_bytes().split_at(7_777);
            meter.feed(left).unwrap();
            meter.feed(right).unwrap();
        }
        assert_eq!(meter.memory(), kept, "{repeated}");
        meter.feed(end.as_bytes()).unwrap();
        assert!(meter.finish().is_ok(), "{repeated}");
    }
}

#[test]
fn names_are_kept_up_to_their_bound() {
    let members = |count: u64| {
        (0..count)
            .map(|name| format!("\"{name}\":1"))
            .collect::<Vec<_>>()
            .join(",")
    };
    let unique = rules("unique members=100000");
    let fits = format!("{{{}}}", members(NAMES_MAX));
    assert!(feed_all(&unique, [fits.as_bytes()]).is_ok());
    let more = format!("{{{}}}", members(NAMES_MAX + 1));
    assert_eq!(
        feed_all(&unique, [more.as_bytes()]),
        Err(Breach::Names { limit: NAMES_MAX })
    );
    // Names of objects that have ended are forgotten, so the next object has room again.
    let both = format!("[{fits},{fits}]");
    assert!(feed_all(&unique, [both.as_bytes()]).is_ok());
    let nested = format!("{{\"a\":{fits}}}");
    assert_eq!(
        feed_all(&unique, [nested.as_bytes()]),
        Err(Breach::Names { limit: NAMES_MAX })
    );
    let twice = format!("{{{},\"77\":1}}", members(NAMES_MAX));
    assert_eq!(
        feed_all(&unique, [twice.as_bytes()]),
        Err(Breach::DuplicateName)
    );
}

#[test]
fn names_take_no_more_memory_than_their_bound() {
    let members = (0..NAMES_MAX)
        .map(|name| format!("\"{name}\":1"))
        .collect::<Vec<_>>()
        .join(",");
    let mut meter = meter("unique members=100000");
    meter.feed(format!("{{{members}").as_bytes()).unwrap();
    assert!(
        meter.memory() <= KEPT_MAX + 512 * 1024,
        "{} bytes kept",
        meter.memory()
    );
    meter.feed(b",\"one\":1").unwrap_err();
}
