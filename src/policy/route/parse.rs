//! From `METHODS /path` to a [`Route`], which then needs no further check.

use super::{
    CAPTURE_NAME_BYTES_MAX, Methods, ROUTE_BYTES_MAX, ROUTE_SEGMENTS_MAX, Route, RouteError,
    Segment,
};

pub(super) fn route(text: &str) -> Result<Route, RouteError> {
    if text.len() > ROUTE_BYTES_MAX {
        return Err(RouteError::TooLong);
    }
    if text.starts_with('/') {
        return Ok(Route {
            methods: Methods::Any,
            segments: path(text)?,
        });
    }
    let (names, pattern) = text.split_once(' ').ok_or(RouteError::NoPath)?;
    Ok(Route {
        methods: methods(names)?,
        segments: path(pattern)?,
    })
}

fn methods(names: &str) -> Result<Methods, RouteError> {
    let mut methods: Vec<&str> = names.split(',').collect();
    for name in &methods {
        let rest = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'-';
        if !name.starts_with(|first: char| first.is_ascii_uppercase()) || !name.bytes().all(rest) {
            return Err(RouteError::Method);
        }
    }
    // In order, so that two spellings of one set are one route.
    methods.sort_unstable();
    if methods.windows(2).any(|pair| pair.first() == pair.last()) {
        return Err(RouteError::MethodTwice);
    }
    Ok(Methods::Only(methods.into_iter().map(Box::from).collect()))
}

fn path(text: &str) -> Result<Vec<Segment>, RouteError> {
    let inner = text.strip_prefix('/').ok_or(RouteError::NoPath)?;
    for character in inner.chars() {
        match character {
            '?' | '#' => return Err(RouteError::Query),
            '%' => return Err(RouteError::Percent),
            '\\' => return Err(RouteError::Backslash),
            other if other.is_whitespace() || other.is_control() => return Err(RouteError::Blank),
            _ => {}
        }
    }
    if inner.is_empty() {
        return Ok(Vec::new());
    }
    if text.contains("//") {
        return Err(RouteError::EmptySegment);
    }
    if inner.ends_with('/') {
        return Err(RouteError::TrailingSlash);
    }
    let segments = inner
        .split('/')
        .map(segment)
        .collect::<Result<Vec<_>, _>>()?;
    if segments.len() > ROUTE_SEGMENTS_MAX {
        return Err(RouteError::TooManySegments);
    }
    let mut names: Vec<_> = segments.iter().filter_map(Segment::name).collect();
    names.sort_unstable();
    if names.windows(2).any(|pair| pair.first() == pair.last()) {
        return Err(RouteError::CaptureTwice);
    }
    Ok(segments)
}

fn segment(text: &str) -> Result<Segment, RouteError> {
    match text {
        "*" => return Ok(Segment::Any),
        "**" => return Ok(Segment::Rest),
        "." | ".." => return Err(RouteError::DotSegment),
        _ => {}
    }
    if let Some(name) = text.strip_prefix('{').and_then(|it| it.strip_suffix('}')) {
        return capture(name);
    }
    if text.contains(['{', '}']) {
        Err(RouteError::Brace)
    } else if text.contains("**") {
        Err(RouteError::Rest)
    } else if text.contains('*') {
        Ok(Segment::Glob(text.into()))
    } else {
        Ok(Segment::Literal(text.into()))
    }
}

fn capture(name: &str) -> Result<Segment, RouteError> {
    if name.contains(['{', '}']) {
        return Err(RouteError::Brace);
    }
    let rest = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
    let begins = name.starts_with(|first: char| first.is_ascii_lowercase());
    if begins && name.bytes().all(rest) && name.len() <= CAPTURE_NAME_BYTES_MAX {
        Ok(Segment::Capture(name.into()))
    } else {
        Err(RouteError::CaptureName)
    }
}
