//! The filter with its policy: in a listener, or in a file of its own that Envoy watches.

use std::fmt::Write as _;
use std::path::Path;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD as STANDARD;

use crate::cli::yaml::{indented, indented_tail, quoted, single_quoted};

/// The name of the filter, and of the resource that has it.
const NAME: &str = "sluicegate";

/// The name of the filter if its configuration is in the listener.
const INLINE: &str = "envoy.filters.http.wasm";

/// The filter's configuration.
pub(in crate::cli) struct Filter<'a> {
    /// The path of the filter on the machine that runs Envoy.
    pub(in crate::cli) wasm: &'a Path,
    /// The policy.
    pub(in crate::cli) policy: Configuration,
    /// Let requests wait for their bodies.
    pub(in crate::cli) hold: bool,
    /// The variable in Envoy's environment that has the engine's password.
    pub(in crate::cli) password: Option<&'a str>,
}

/// The policy in the form in which Envoy hands it to the filter.
pub(in crate::cli) enum Configuration {
    /// As JSON.
    Json(String),
    /// With a large directory: its JSON without the directory, for people, and all of it.
    Packed(String, Vec<u8>),
}

impl Configuration {
    /// The lines of the message, without indentation.
    fn message(&self) -> String {
        match self {
            Self::Json(json) => format!(
                "\"@type\": type.googleapis.com/google.protobuf.StringValue\nvalue: {}\n",
                single_quoted(json)
            ),
            Self::Packed(json, bytes) => format!(
                "# This policy, and its directory in the form that the filter searches:\n# \
                 {}\n\"@type\": type.googleapis.com/google.protobuf.BytesValue\nvalue: {}\n",
                ascii(json),
                STANDARD.encode(bytes)
            ),
        }
    }
}

/// JSON in ASCII, for a comment: some parsers take other characters for the end of a line.
fn ascii(json: &str) -> String {
    let mut text = String::new();
    for character in json.chars() {
        if character.is_ascii() {
            text.push(character);
        } else {
            for unit in character.encode_utf16(&mut [0; 2]) {
                // Writing to a string cannot fail.
                let _ = write!(text, "\\u{unit:04x}");
            }
        }
    }
    text
}

/// The source of a listener's filter.
pub(in crate::cli) enum FilterSource<'a> {
    /// In the listener itself.
    Inline(Filter<'a>),
    /// From a file that Envoy watches.
    Watched(&'a Path),
}

impl FilterSource<'_> {
    /// The name of the filter in that list.
    pub(super) const fn name(&self) -> &'static str {
        match self {
            Self::Inline(_) => INLINE,
            Self::Watched(_) => NAME,
        }
    }

    /// The item of a listener's list of HTTP filters, without indentation.
    pub(super) fn http_filter(&self) -> String {
        match self {
            Self::Inline(filter) => format!(
                "- name: {INLINE}\n  typed_config:\n{}",
                indented(&filter.typed_config(), 4)
            ),
            Self::Watched(path) => format!(
                include_str!("discovery.yaml.in"),
                name = NAME,
                path = quoted(&path.display().to_string()),
            ),
        }
    }
}

impl Filter<'_> {
    fn typed_config(&self) -> String {
        let hold = if self.hold {
            "\n  # With `hold` in the policy, a head waits for its body.\n  \
             allow_on_headers_stop_iteration: true"
        } else {
            ""
        };
        let environment = self.password.map_or_else(String::new, |variable| {
            format!(
                "\n    # The password of the engine.\n    \
                 environment_variables: {{ host_env_keys: [{variable}] }}"
            )
        });
        format!(
            include_str!("filter.yaml.in"),
            hold = hold,
            wasm = quoted(&self.wasm.display().to_string()),
            environment = environment,
            configuration = indented(&self.policy.message(), 4).trim_end(),
        )
    }

    /// The content of the file for `--extension`.
    pub(in crate::cli) fn discovery_response(&self) -> String {
        let resource = format!(
            "- \"@type\": type.googleapis.com/envoy.config.core.v3.TypedExtensionConfig\n  name: \
             {NAME}\n  typed_config:\n    {}",
            indented_tail(&indented_tail(&self.typed_config()))
        );
        format!(
            "# Written by `sluicegate render extension`.\nresources:\n{}",
            indented(&resource, 2)
        )
    }
}
