//! Routes and tables against plain recursion over the text of a route.

use proptest::prelude::*;

use super::super::{Matches, Route, RouteTable};
use super::{path, route};

/// Whether `text` fits a glob, by trying everything.
fn oracle_glob(glob: &[u8], text: &[u8]) -> bool {
    match glob.split_first() {
        None => text.is_empty(),
        Some((b'*', later)) => (0..=text.len()).any(|taken| oracle_glob(later, &text[taken..])),
        Some((first, later)) => text.first() == Some(first) && oracle_glob(later, &text[1..]),
    }
}

/// The captured (name, segment) pairs if the route's segments match the path's: the first found,
/// trying for each `**` the fewest segments first.
fn oracle<'a>(route: &[&'a str], path: &[&'a str]) -> Option<Vec<(&'a str, &'a str)>> {
    let Some((&first, later)) = route.split_first() else {
        return path.is_empty().then(Vec::new);
    };
    if first == "**" {
        return (0..=path.len()).find_map(|taken| oracle(later, &path[taken..]));
    }
    let (&found, left) = path.split_first()?;
    if let Some(name) = first.strip_prefix('{') {
        let mut pairs = oracle(later, left)?;
        pairs.push((name.trim_end_matches('}'), found));
        return Some(pairs);
    }
    if oracle_glob(first.as_bytes(), found.as_bytes()) {
        oracle(later, left)
    } else {
        None
    }
}

/// Whether some text fits both globs, by trying everything.
fn oracle_globs_meet(one: &[u8], other: &[u8]) -> bool {
    match (one.split_first(), other.split_first()) {
        (None, None) => true,
        (Some((b'*', later)), _) if oracle_globs_meet(later, other) => true,
        (_, Some((b'*', later))) if oracle_globs_meet(one, later) => true,
        (Some((b'*', _)), Some((_, later))) => oracle_globs_meet(one, later),
        (Some((_, later)), Some((b'*', _))) => oracle_globs_meet(later, other),
        (Some((first, later)), Some((second, later_other))) => {
            first == second && oracle_globs_meet(later, later_other)
        }
        (None, Some(_)) | (Some(_), None) => false,
    }
}

/// Whether some path fits both routes' segments, by trying everything.
fn oracle_meets(one: &[&str], other: &[&str]) -> bool {
    let glob = |segment: &str| {
        if segment.starts_with('{') {
            b"*".to_vec()
        } else {
            segment.as_bytes().to_vec()
        }
    };
    match (one.split_first(), other.split_first()) {
        (None, None) => true,
        (Some((&"**", later)), _) if oracle_meets(later, other) => true,
        (_, Some((&"**", later))) if oracle_meets(one, later) => true,
        (Some((&"**", _)), Some((_, later))) => oracle_meets(one, later),
        (Some((_, later)), Some((&"**", _))) => oracle_meets(later, other),
        (Some((first, later)), Some((second, later_other))) => {
            oracle_globs_meet(&glob(first), &glob(second)) && oracle_meets(later, later_other)
        }
        (None, Some(_)) | (Some(_), None) => false,
    }
}

fn split(path: &str) -> Vec<&str> {
    path.split('/').filter(|it| !it.is_empty()).collect()
}

fn any_method() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec!["GET", "PUT", "POST"])
}

/// A route's methods (none: any) and path; few letters, so that routes and paths meet.
fn any_route() -> impl Strategy<Value = (Vec<&'static str>, String)> {
    let segment = prop_oneof![
        4 => "[ab]{1,2}",
        2 => Just("*".to_owned()),
        2 => Just("{}".to_owned()),
        3 => Just("**".to_owned()),
        1 => Just("a*".to_owned()),
        1 => Just("*b".to_owned()),
        1 => Just("a*b".to_owned()),
        1 => Just("*a*b*".to_owned()),
        1 => Just("ab*ba*".to_owned()),
    ];
    let methods = prop::sample::subsequence(vec!["GET", "PUT", "POST"], 0..=2);
    (methods, prop::collection::vec(segment, 0..6)).prop_map(|(methods, segments)| {
        let named = segments
            .iter()
            .enumerate()
            .map(|(index, it)| match it.as_str() {
                "{}" => format!("/{{n{index}}}"),
                other => format!("/{other}"),
            });
        let path: String = named.collect();
        (
            methods,
            if path.is_empty() {
                "/".to_owned()
            } else {
                path
            },
        )
    })
}

fn any_path() -> impl Strategy<Value = String> {
    prop::collection::vec("/[ab]{1,4}", 0..7).prop_map(|segments| segments.concat())
}

fn write(methods: &[&str], path: &str) -> String {
    if methods.is_empty() {
        path.to_owned()
    } else {
        format!("{} {path}", methods.join(","))
    }
}

proptest! {
    #[test]
    fn a_table_agrees_with_the_oracle(
        routes in prop::collection::vec(any_route(), 0..16),
        requests in prop::collection::vec((any_method(), any_path()), 1..8),
    ) {
        let mut builder = RouteTable::builder();
        let ids: Vec<_> = routes
            .iter()
            .map(|(methods, path)| {
            let text = write(methods, path);
            builder.add(route(&text), &text)
        })
            .collect();
        let table = builder.build();
        let mut out = Matches::new();
        for (method, raw) in &requests {
            let path = path(raw);
            table.matches(method.as_bytes(), &path, &mut out);
            prop_assert!(out.ids().is_sorted_by(|a, b| a < b));
            for (&id, (methods, pattern)) in ids.iter().zip(&routes) {
                let pairs = oracle(&split(pattern), &split(raw));
                let admits = methods.is_empty() || methods.contains(method);
                prop_assert_eq!(out.contains(id), admits && pairs.is_some(), "{:?} {} on \
                    {}", methods, pattern, raw);
                for name in table.route(id).unwrap().captures() {
                    let expected = pairs
                        .iter()
                        .flatten()
                        .find(|pair| pair.0 == name)
                        .map(|pair| pair.1.as_bytes());
                    prop_assert_eq!(table.capture(id, name, &path), expected, "{} {} on \
                        {}", name, pattern, raw);
                }
            }
        }
    }

    #[test]
    fn what_a_covered_route_matches_its_cover_matches(
        routes in prop::collection::vec(any_route(), 2..8),
        requests in prop::collection::vec((any_method(), any_path()), 1..12),
    ) {
        let hits = |(methods, pattern): &(Vec<&str>, String)| -> Vec<bool> {
            let admits = |method| methods.is_empty() || methods.contains(method);
            requests
                .iter()
                .map(|(method, raw)| {
                    admits(method) && oracle(&split(pattern), &split(raw)).is_some()
                })
                .collect()
        };
        for wide in &routes {
            let cover = route(&write(&wide.0, &wide.1));
            prop_assert!(cover.covers(&cover), "a route covers itself");
            prop_assert!(route("/**").covers(&cover));
            let covered = routes
                .iter()
                .filter(|narrow| cover.covers(&route(&write(&narrow.0, &narrow.1))));
            for narrow in covered {
                let missed = hits(narrow)
                    .iter()
                    .zip(hits(wide))
                    .any(|(&narrow, wide)| narrow && !wide);
                prop_assert!(!missed, "{:?} does not cover {:?}", wide, narrow);
            }
        }
    }

    #[test]
    fn routes_meet_where_the_oracle_finds_a_request(
        one in any_route(),
        other in any_route(),
        requests in prop::collection::vec((any_method(), any_path()), 1..12),
    ) {
        let meets = route(&write(&one.0, &one.1)).meets(&route(&write(&other.0, &other.1)));
        let methods_meet = one.0.is_empty()
            || other.0.is_empty()
            || one.0.iter().any(|it| other.0.contains(it));
        let expected = methods_meet && oracle_meets(&split(&one.1), &split(&other.1));
        prop_assert_eq!(meets, expected, "{:?} {:?}", one, other);
        let fits = |(methods, pattern): &(Vec<&str>, String), method: &str, raw: &str| {
            (methods.is_empty() || methods.contains(&method))
                && oracle(&split(pattern), &split(raw)).is_some()
        };
        for (method, raw) in &requests {
            prop_assert!(meets || !(fits(&one, method, raw) && fits(&other, method, raw)), "{} \
                {}", method, raw);
        }
    }

    #[test]
    fn any_text_parses_or_names_a_rule(text in "([A-Z,]{0,4} )?[/a*{}.%?b \\\\é]{0,12}") {
        if let Ok(parsed) = Route::parse(&text) {
            prop_assert_eq!(Route::parse(&parsed.to_string()), Ok(parsed));
        }
    }
}
