//! Patterns of hosts: labels, some of which are captured.
//!
//! ```text
//!   {tenant}.example.com   acme.example.com     ─▶ tenant: acme
//!                          a.b.example.com      ─▶ no match: a capture is exactly one label
//! ```

use std::fmt;

use super::super::reader::is_name;

/// A pattern that hosts match label by label.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostPattern {
    labels: Box<[Label]>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Label {
    /// This label, in lower case.
    Text(Box<str>),
    /// Any label, under this name.
    Capture(Box<str>),
}

/// The rule that the text of a pattern breaks; `Display` states the rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HostError {
    /// More than 255 bytes.
    TooLong,
    /// Something else than labels and captures between dots.
    Label,
    /// Two captures of one name.
    CaptureTwice,
}

/// The longest pattern.
pub(crate) const HOST_BYTES_MAX: usize = 255;

impl HostPattern {
    /// The pattern that is written as `text`.
    ///
    /// # Errors
    /// The rule that it breaks.
    pub fn parse(text: &str) -> Result<Self, HostError> {
        if text.len() > HOST_BYTES_MAX {
            return Err(HostError::TooLong);
        }
        let labels = text.split('.').map(Label::parse);
        let pattern = Self {
            labels: labels.collect::<Option<_>>().ok_or(HostError::Label)?,
        };
        let mut names: Vec<&str> = pattern.captures().collect();
        names.sort_unstable();
        if names.windows(2).any(|pair| pair.first() == pair.last()) {
            return Err(HostError::CaptureTwice);
        }
        Ok(pattern)
    }

    /// The names of all captures.
    pub fn captures(&self) -> impl Iterator<Item = &str> {
        self.labels.iter().filter_map(|label| match label {
            Label::Text(_) => None,
            Label::Capture(name) => Some(&**name),
        })
    }

    /// The label that is captured as `name`; `None` if `host`, which is in lower case, does not
    /// match.
    #[must_use]
    pub fn capture<'h>(&self, name: &str, host: &'h [u8]) -> Option<&'h [u8]> {
        let mut labels = host.split(|byte| *byte == b'.');
        let mut captured = None;
        for pattern in &self.labels {
            let label = labels.next().filter(|label| !label.is_empty())?;
            match pattern {
                Label::Text(text) if text.as_bytes() == label => {}
                Label::Text(_) => return None,
                Label::Capture(known) if **known == *name => captured = Some(label),
                Label::Capture(_) => {}
            }
        }
        captured.filter(|_| labels.next().is_none())
    }
}

impl Label {
    fn parse(text: &str) -> Option<Self> {
        let name = text
            .strip_prefix('{')
            .and_then(|text| text.strip_suffix('}'));
        if let Some(name) = name {
            return is_name(name).then(|| Self::Capture(name.into()));
        }
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        (!text.is_empty() && text.bytes().all(is_plain))
            .then(|| Self::Text(text.to_ascii_lowercase().into()))
    }
}

impl fmt::Display for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, label) in self.labels.iter().enumerate() {
            if place > 0 {
                f.write_str(".")?;
            }
            match label {
                Label::Text(text) => f.write_str(text)?,
                Label::Capture(name) => write!(f, "{{{name}}}")?,
            }
        }
        Ok(())
    }
}

impl fmt::Display for HostError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong => write!(f, "a pattern of hosts has at most {HOST_BYTES_MAX} bytes"),
            Self::Label => f.write_str(
                "each part between dots is a label of letters, digits, - and _, or a capture such \
                 as {tenant}, without a port",
            ),
            Self::CaptureTwice => f.write_str("two captures have the same name"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_capture_is_exactly_one_label() {
        for (pattern, host, captured) in [
            ("{tenant}.example.com", "acme.example.com", Some("acme")),
            ("{tenant}.EXAMPLE.com", "acme.example.com", Some("acme")),
            ("{tenant}.example.com", "a.b.example.com", None),
            ("{tenant}.example.com", "example.com", None),
            ("{tenant}.example.com", ".example.com", None),
            ("{tenant}.example.com", "acme.example.org", None),
            ("{tenant}.example.com", "acme.example.com.evil", None),
            ("api.{tenant}.example", "api.acme.example", Some("acme")),
            ("{tenant}.{region}.example", "acme.eu.example", Some("acme")),
            ("{region}.{tenant}.example", "acme.eu.example", Some("eu")),
            ("{region}.{tenant}.example", ".eu.example", None),
            ("{tenant}", "localhost", Some("localhost")),
            ("{tenant}", "", None),
            ("{tenant}.example.com", "[2001:db8::7]", None),
        ] {
            let parsed = HostPattern::parse(pattern).unwrap();
            let expected = captured.map(str::as_bytes);
            assert_eq!(
                parsed.capture("tenant", host.as_bytes()),
                expected,
                "{pattern} {host}"
            );
        }
    }

    #[test]
    fn a_pattern_is_written_as_it_is_compared() {
        let pattern = HostPattern::parse("{tenant}.Example.COM").unwrap();
        assert_eq!(pattern.to_string(), "{tenant}.example.com");
        for (text, error) in [
            ("", HostError::Label),
            ("{tenant}.example.com.", HostError::Label),
            ("{tenant}.example.com:8080", HostError::Label),
            ("{tenant}-api.example.com", HostError::Label),
            ("*.example.com", HostError::Label),
            ("{Tenant}.example.com", HostError::Label),
            ("{}.example.com", HostError::Label),
            ("{a}.{a}.com", HostError::CaptureTwice),
            (&"a.".repeat(200), HostError::TooLong),
        ] {
            assert_eq!(HostPattern::parse(text), Err(error), "{text}");
        }
    }
}
