//! The presets, and typical requests for each, for all benchmarks.

use std::fmt::Write as _;
use std::fs;

use sha2::{Digest as _, Sha256};

pub(crate) const CALLERS: usize = 1_000;

/// A preset, and typical requests, all of which it admits.
pub(crate) struct Traffic {
    pub(crate) preset: &'static str,
    pub(crate) path: &'static str,
    /// The attributes of directory entries, and the credentials of requests: `{}` is the caller's
    /// number.
    entries: &'static [(&'static str, &'static str)],
    pub(crate) headers: &'static str,
    /// The milliseconds between two requests of one caller.
    pub(crate) pause: u64,
}

pub(crate) const TRAFFIC: [Traffic; 5] = [
    Traffic {
        preset: "enterprise-v2",
        path: "/v2/things/42/data",
        entries: &[("key-{}", "org: org-{}")],
        headers: "authorization: Bearer key-{}",
        pause: 1_000,
    },
    Traffic {
        preset: "dash0",
        path: "/api/dashboards/42",
        entries: &[(
            "key-{}",
            "org: org-{}, user: user-{}, plan: team, region: eu-west",
        )],
        headers: "authorization: Bearer key-{}",
        pause: 500,
    },
    Traffic {
        preset: "datadog",
        path: "/api/v1/query?query=avg",
        entries: &[
            ("key-{}", "org: org-{}, api_key_id: api-{}"),
            (
                "app-{}",
                "org: org-{}, user: user-{}, app_key_id: app-{}, actor: user",
            ),
        ],
        headers: "dd-api-key: key-{}\r\ndd-application-key: app-{}",
        pause: 4_000,
    },
    Traffic {
        preset: "datocms",
        path: "/items/42",
        entries: &[("key-{}", "project: project-{}, plan: paid, user: user-{}")],
        headers: "authorization: Bearer key-{}",
        pause: 500,
    },
    // A pool that never fills, and no other limit.
    Traffic {
        preset: "dynatrace",
        path: "/api/v2/entities",
        entries: &[("key-{}", "environment: env-{}, user: user-{}")],
        headers: "authorization: Api-Token key-{}",
        pause: 500,
    },
];

impl Traffic {
    /// The preset with a directory of a thousand callers.
    pub(crate) fn text(&self) -> String {
        let preset = fs::read_to_string(format!("envoy/presets/{}.yaml", self.preset)).unwrap();
        let (before, rest) = preset.split_once("  directory:\n").unwrap();
        // After the entries comes the next key of `callers`, with the indentation of `directory`.
        let after = rest
            .match_indices("\n  ")
            .find(|(at, _)| !rest[at + 3..].starts_with(' '))
            .unwrap()
            .0;
        let mut entries = String::new();
        for (number, (secret, says)) in
            (0..CALLERS).flat_map(|number| self.entries.iter().map(move |it| (number, it)))
        {
            writeln!(
                entries,
                "    - {{ sha256: {}, {} }}",
                sha256(&numbered(secret, number)),
                numbered(says, number)
            )
            .unwrap();
        }
        format!("{before}  directory:\n{entries}{}", &rest[after + 1..])
    }
}

pub(crate) fn numbered(text: &str, number: usize) -> String {
    text.replace("{}", &number.to_string())
}

/// The hash of a secret in hexadecimal digits, as in a directory.
pub(crate) fn sha256(secret: &str) -> String {
    let mut digits = String::new();
    for byte in Sha256::digest(secret) {
        write!(digits, "{byte:02x}").unwrap();
    }
    digits
}
