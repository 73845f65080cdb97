mod oracle;

use super::{Matches, Route, RouteError, RouteTable};
use crate::base::path::PathBuffer;

fn route(text: &str) -> Route {
    Route::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"))
}

fn path(raw: &str) -> PathBuffer {
    let mut path = PathBuffer::new();
    path.read(raw.as_bytes());
    path
}

fn table(routes: impl IntoIterator<Item = String>) -> RouteTable {
    let mut builder = RouteTable::builder();
    for text in routes {
        builder.add(route(&text), &text);
    }
    builder.build()
}

fn matches(text: &str, request: &str) -> bool {
    let (method, raw) = request.split_once(' ').unwrap();
    let mut out = Matches::new();
    table([text.to_owned()]).matches(method.as_bytes(), &path(raw), &mut out);
    !out.ids().is_empty()
}

fn lines(table: &str) -> impl Iterator<Item = &str> {
    table.lines().map(str::trim).filter(|line| !line.is_empty())
}

#[test]
fn a_route_matches_what_the_language_says() {
    let log = r"
        /                          | GET /                     | yes
        /                          | GET /a                    | no
        /v2/a                      | GET /v2/a                 | yes
        /v2/a                      | GET /v2/b/../a/?x=1       | yes
        /v2/a                      | GET /v2/b%2F..%2Fa        | yes
        /v2/a                      | GET /v2/A                 | no
        /v2/a                      | GET /v2                   | no
        /v2/a                      | GET /v2/a/b               | no
        /v2/*                      | GET /v2/a                 | yes
        /v2/*                      | GET /v2                   | no
        /v2/*                      | GET /v2/a/b               | no
        /v2/{id}                   | GET /v2/a                 | yes
        /v2/{id}                   | GET /v2//                 | no
        /v2/**                     | GET /v2                   | yes
        /v2/**                     | GET /v2/a/b/c             | yes
        /v2/**                     | GET /v20                  | no
        /v2/**                     | GET /v2/../v1             | no
        /**                        | GET /                     | yes
        /**                        | GET /a/b                  | yes
        /**/test                   | POST /test                | yes
        /**/test                   | POST /a/test/test         | yes
        /**/test                   | POST /a/test/b            | no
        /a/**/b/**/c               | GET /a/b/c                | yes
        /a/**/b/**/c               | GET /a/x/b/y/b/z/c        | yes
        /a/**/b/**/c               | GET /a/c/b                | no
        /**/**/a                   | GET /a                    | yes
        /**/*                      | GET /                     | no
        /**/*/**                   | GET /a                    | yes
        /data*                     | GET /data                 | yes
        /data*                     | GET /database             | yes
        /data*                     | GET /dat                  | no
        /*.json                    | GET /a.b.json             | yes
        /*.json                    | GET /.json                | yes
        /*.json                    | GET /a.jsonx              | no
        /a*b*c                     | GET /abc                  | yes
        /a*b*c                     | GET /a1b2b3c              | yes
        /a*b*c                     | GET /acb                  | no
        /ab*ba                     | GET /aba                  | no
        /ab*ba                     | GET /abba                 | yes
        /a*                        | GET /a%2Fb                | no
        /a*                        | GET /a%5Cb                | no
        /a/*                       | GET /a%5Cb                | yes
        /café                      | GET /caf%C3%A9            | yes
        /**                        | GET /%ff                  | yes
        POST /a                    | POST /a                   | yes
        POST /a                    | GET /a                    | no
        POST /a                    | post /a                   | no
        POST /a                    | POSTS /a                  | no
        POST,PUT,M-SEARCH /a       | M-SEARCH /a               | yes
        POST,PUT /a                | PUT /a                    | yes
        /a                         | what-ever /a              | yes";
    for line in lines(log) {
        let mut columns = line.split('|').map(str::trim);
        let (text, request) = (columns.next().unwrap(), columns.next().unwrap());
        assert_eq!(
            matches(text, request),
            columns.next() == Some("yes"),
            "{line}"
        );
    }
}

#[test]
fn a_faulty_route_names_the_rule() {
    use RouteError as E;
    for (text, error) in [
        ("", E::NoPath),
        ("GET", E::NoPath),
        ("a/b", E::NoPath),
        ("GET a/b", E::NoPath),
        ("GET  /a", E::NoPath),
        ("GET\t/a", E::NoPath),
        (" /a", E::Method),
        ("get /a", E::Method),
        ("GEt /a", E::Method),
        ("GET, PUT /a", E::Method),
        ("GET,,PUT /a", E::Method),
        ("GET, /a", E::Method),
        ("2GET /a", E::Method),
        ("* /a", E::Method),
        ("GET,PUT,GET /a", E::MethodTwice),
        ("/a b", E::Blank),
        ("/a ", E::Blank),
        ("/a\u{a0}", E::Blank),
        ("/a\0", E::Blank),
        ("/a?b=1", E::Query),
        ("/a#b", E::Query),
        ("/a%20b", E::Percent),
        ("/a\\b", E::Backslash),
        ("/a/", E::TrailingSlash),
        ("/**/", E::TrailingSlash),
        ("//", E::EmptySegment),
        ("/a//b", E::EmptySegment),
        ("/a//", E::EmptySegment),
        ("/./a", E::DotSegment),
        ("/a/..", E::DotSegment),
        ("/a**", E::Rest),
        ("/***", E::Rest),
        ("/v2/**.json", E::Rest),
        ("/a{id}", E::Brace),
        ("/{id", E::Brace),
        ("/id}", E::Brace),
        ("/{a}{b}", E::Brace),
        ("/{a}*", E::Brace),
        ("/{{a}}", E::Brace),
        ("/{a/b}", E::Brace),
        ("/{}", E::CaptureName),
        ("/{Id}", E::CaptureName),
        ("/{1d}", E::CaptureName),
        ("/{_d}", E::CaptureName),
        ("/{i-d}", E::CaptureName),
        ("/{*}", E::CaptureName),
        ("/{é}", E::CaptureName),
        ("/{id}/{id}", E::CaptureTwice),
    ] {
        assert_eq!(Route::parse(text), Err(error), "{text}");
        let rule = error.to_string();
        assert!(
            !rule.starts_with(char::is_uppercase) && !rule.ends_with('.'),
            "{rule}"
        );
    }
}

#[test]
fn a_route_has_bounds() {
    assert_eq!(
        Route::parse(&format!("/{{{}}}", "a".repeat(33))),
        Err(RouteError::CaptureName)
    );
    assert!(Route::parse(&format!("/{{{}}}", "a".repeat(32))).is_ok());
    assert_eq!(
        Route::parse(&"/a".repeat(65)),
        Err(RouteError::TooManySegments)
    );
    assert!(Route::parse(&"/a".repeat(64)).is_ok());
    assert_eq!(
        Route::parse(&format!("/{}", "a".repeat(1024))),
        Err(RouteError::TooLong)
    );
    assert!(Route::parse(&format!("/{}", "a".repeat(1023))).is_ok());
}

#[test]
fn a_route_is_written_as_it_was_read() {
    for text in [
        "/",
        "/**",
        "GET /",
        "PATCH,POST /v2/*/{id}/a*b*/**",
        "M-SEARCH,PUT /é",
    ] {
        assert_eq!(route(text).to_string(), text);
    }
    assert_eq!(
        route("PUT,POST /a"),
        route("POST,PUT /a"),
        "methods are a set"
    );
    assert_eq!(
        route("PUT,POST /a").methods().collect::<Vec<_>>(),
        ["POST", "PUT"]
    );
    assert_eq!(route("/a").methods().next(), None);
    assert_eq!(
        route("/{b}/x/**/{a}").captures().collect::<Vec<_>>(),
        ["b", "a"]
    );
}

#[test]
fn a_capture_is_the_leftmost_with_the_shortest_rest() {
    let log = "
        /e/{env}/**           env   /e/prod/a/b         prod
        /e/{env}/**           env   /e/prod             prod
        /e/{env}/**           env   /e                  -
        /e/{env}/**           other /e/prod             -
        /e/{env}              env   /e/prod/a           -
        /e/{env}              env   /e/pr%6fd%2F?x      prod
        /{a}/{b}              b     /1/2                2
        /**/{id}              id    /1/2/3              3
        /**/{id}/**           id    /1/2/3              1
        /**/{id}/x            id    /1/2/x              2
        /**/x/{id}/**         id    /x/1/x/2            1
        /**/x/{id}/**/y       id    /x/1/y/x/2/y        1
        /**/x/{id}/y          id    /x/1/x/2/y          2
        /**/{id}/*.js/**/z    id    /a/b/c.js/d.js/z    b
        /**/a/**/{id}/b       id    /a/b/a/1/b          1
        /**/**/{id}/**        id    /1/2                1";
    for line in lines(log) {
        let words: Vec<_> = line.split_whitespace().collect();
        let path = path(words[2]);
        let captured = route(words[0])
            .capture(words[1], &path)
            .map_or("-", |it| std::str::from_utf8(it).unwrap());
        assert_eq!(captured, words[3], "{line}");
    }
}

#[test]
fn a_wider_route_covers_a_narrower_one() {
    let log = "
        /**              | /                | yes
        /**              | POST /a/{b}/**   | yes
        /**/**           | /**              | yes
        /v2/**           | /v2/a/*          | yes
        /v2/**           | /v2              | yes
        /v2/**           | /v2/**/a         | yes
        /v2/**           | /**              | no
        /v2/**           | /v1/a            | no
        /v2/*            | /v2/{id}         | yes
        /v2/{id}         | /v2/*            | yes
        /v2/*            | /v2/a            | yes
        /v2/*            | /v2/a*b          | yes
        /v2/*            | /v2/**           | no
        /v2/*            | /v2/a/b          | no
        /v2/a            | /v2/*            | no
        /v2/a            | /v2/a*           | no
        /data*           | /data            | yes
        /data*           | /data1*          | yes
        /data*           | /data*.json      | yes
        /data*           | /dat*            | no
        /data*           | /*               | no
        /a*c             | /a*b*c           | yes
        /a*b*c           | /a*c             | no
        /**/a            | /b/**/a          | yes
        /**/a/**         | /b/a/c           | yes
        /**/a            | /**/b            | no
        /a/**/b          | /a/**/c/**/b     | yes
        POST,PUT /a      | POST /a          | yes
        POST /a          | POST,PUT /a      | no
        /a               | POST /a          | yes
        POST /a          | /a               | no
        POST /**         | POST,PUT /a      | no";
    for line in lines(log) {
        let columns: Vec<_> = line.split('|').map(str::trim).collect();
        assert_eq!(
            route(columns[0]).covers(&route(columns[1])),
            columns[2] == "yes",
            "{line}"
        );
    }
}

#[test]
fn routes_meet_where_a_request_fits_both() {
    let log = "
        /**              | /                | yes
        /v2/**           | /**/a            | yes
        /v2/**           | /v1/**           | no
        /v2/**           | /v2              | yes
        /v2/*            | /v2              | no
        /a/**/b          | /**/c            | no
        /a/**/b          | /a/b             | yes
        /a/**/b          | /a               | no
        /a/b/**          | /a/**/c          | yes
        /**/a/**/b/**    | /**/c/**         | yes
        /**/a/**         | /b/c             | no
        /**/a/**         | /b/*/c           | yes
        /{id}/a          | /b/*             | yes
        /data*           | /*.json          | yes
        /data*           | /meta*           | no
        /data*.csv       | /*.json          | no
        /da*             | /data*.csv       | yes
        /a*b             | /ab              | yes
        /a*b             | /a               | no
        GET /a           | POST /a          | no
        GET,PUT /a       | PUT,POST /a      | yes
        GET /a           | /a               | yes";
    for line in lines(log) {
        let columns: Vec<_> = line.split('|').map(str::trim).collect();
        let (one, other) = (route(columns[0]), route(columns[1]));
        assert_eq!(one.meets(&other), columns[2] == "yes", "{line}");
        assert_eq!(other.meets(&one), columns[2] == "yes", "{line}");
    }
}

#[test]
fn a_table_names_every_route_that_matches() {
    let mut builder = RouteTable::builder();
    let all = builder.add(route("/**"), "/**");
    let write = builder.add(route("POST,PUT /**"), "POST,PUT /**");
    let item = builder.add(route("/items/{item}"), "/items/{item}");
    assert_eq!(
        builder.add(route("PUT,POST /**"), "PUT,POST /**"),
        write,
        "the same route has one id"
    );
    let other = builder.add(route("/items/{other}"), "/items/{other}");
    let table = builder.build();
    assert_eq!(table.route_count(), 4);
    assert_eq!(table.route(other), Some(&route("/items/{other}")));

    let mut out = Matches::new();
    let path = path("/items/7");
    table.matches(b"PUT", &path, &mut out);
    assert_eq!(out.ids(), [all, write, item, other]);
    assert_eq!(table.capture(item, "item", &path), Some(&b"7"[..]));
    assert_eq!(table.capture(all, "item", &path), None);
    table.matches(b"GET", &PathBuffer::new(), &mut out);
    assert_eq!(out.ids(), [all]);
    assert!(out.contains(all) && !out.contains(write));

    let empty = RouteTable::builder().build();
    empty.matches(b"GET", &path, &mut out);
    assert!(out.ids().is_empty());
    assert_eq!(empty.route(item), None);
    table.matches(b"PUT", &path, &mut out);
    assert_eq!(out.ids().len(), 4, "matches may move between tables");
}

/// Nodes walked from and globs tried for a request on a thousand routes.
fn visits(pattern: impl Fn(usize) -> String, raw: &str, expected: usize) -> usize {
    let table = table((0..1000).map(pattern));
    let mut out = Matches::new();
    table.matches(b"GET", &path(raw), &mut out);
    assert_eq!(out.ids().len(), expected, "{raw}");
    out.visits
}

#[test]
fn a_thousand_routes_cost_no_more_than_their_shared_beginning() {
    assert!(visits(|n| format!("/v2/svc{n}/items"), "/v2/svc17/items", 1) <= 3);
    assert!(visits(|n| format!("/v2/svc{n}/**"), "/v2/svc17/a/b/c", 1) <= 6);
    assert!(visits(|n| format!("/**/x{n}/y"), "/a/b/x17/y", 1) <= 8);
    assert!(visits(|n| format!("/**/x{n}/**/y"), "/a/x17/b/x18/y", 2) <= 12);
    assert!(visits(|n| format!("/v2/data{n:04}*"), "/v2/data0017.csv", 1) <= 3);
    assert!(visits(|n| format!("/v2/*.{n:04}"), "/v2/data.0017", 1) <= 3);
    assert!(visits(|n| format!("M{n} /v2/**"), "/v2/a", 0) <= 3);
    let long = "/a".repeat(1000);
    assert!(visits(|n| format!("/**/a/**/a/**/x{n}"), &long, 0) <= 6 * 1000);
}
