//! `sluicegate key new`: a key from the system's randomness, and its line of the directory.
//!
//! The key is printed once, and written nowhere else: the line has its SHA-256.

use clap::{Args, Subcommand, ValueEnum};
use sha2::{Digest as _, Sha256};

use super::yaml::text;
use super::{Failure, envoy};
use crate::base::rfc3339;
use crate::policy::attributes::RESERVED;
use crate::policy::language::ATTRIBUTE_BYTES_MAX;
use crate::policy::reader::is_name;

#[derive(Debug, Subcommand)]
pub(super) enum Key {
    /// Print a new key, and after it its line of the directory, which has its SHA-256.
    New(NewArgs),
}

#[derive(Debug, Args)]
pub(super) struct NewArgs {
    /// An attribute of the caller: NAME=VALUE. Can be repeated; `--org acme` means the same as
    /// `--attribute org=acme`.
    #[arg(long, value_name = "NAME=VALUE", value_parser = envoy::parse_pair)]
    attribute: Vec<(String, String)>,
    /// The last day of the key, in UTC, or the time from which on it is unknown, with its offset.
    #[arg(long, value_name = "RFC3339")]
    until: Option<String>,
    /// The form of the line: for a policy, or for a file of `--directory`.
    #[arg(long, value_enum, default_value_t = Format::Yaml)]
    format: Format,
    /// The beginning of the key.
    #[arg(long, default_value = "sg_")]
    prefix: String,
    /// More attributes, and any of the options above.
    #[arg(
        value_name = "--ATTRIBUTE VALUE",
        trailing_var_arg = true,
        allow_hyphen_values = true
    )]
    more: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// An item of `callers.directory`.
    Yaml,
    /// The names, and a line for them.
    Csv,
    /// A line of a file with JSON lines.
    Jsonl,
}

/// The values of the options.
struct Wanted {
    values: Vec<(String, String)>,
    until: Option<String>,
    format: Format,
    prefix: String,
}

const SHA256: &str = "sha256";
const UNTIL: &str = "until";

/// The characters of a key after its prefix: 256 bits.
const KEY_CHARS: usize = 43;
const PREFIX_CHARS_MAX: usize = 32;
const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

pub(super) fn new(args: &NewArgs) -> Result<String, Failure> {
    let wanted = wanted(args).and_then(checked).map_err(Failure::Usage)?;
    let key = format!("{}{}", wanted.prefix, random()?);
    let mut fields = vec![(SHA256.to_owned(), sha256(&key))];
    fields.extend(wanted.values);
    fields.extend(wanted.until.map(|until| (UNTIL.to_owned(), until)));
    eprintln!("The key, which is shown this once, and its line of the directory:");
    Ok(format!("{key}\n{}", line(&fields, wanted.format)?))
}

/// The options, those after an attribute included.
fn wanted(args: &NewArgs) -> Result<Wanted, String> {
    let mut wanted = Wanted {
        values: args.attribute.clone(),
        until: args.until.clone(),
        format: args.format,
        prefix: args.prefix.clone(),
    };
    let mut words = args.more.iter();
    while let Some(word) = words.next() {
        let Some(option) = word.strip_prefix("--").filter(|name| !name.is_empty()) else {
            return Err(format!("expected --ATTRIBUTE VALUE, found {word}"));
        };
        let (name, value) = match option.split_once('=') {
            Some((name, value)) => (name, value.to_owned()),
            None => {
                let value = words
                    .next()
                    .ok_or_else(|| format!("{word} needs a value"))?;
                (option, value.clone())
            }
        };
        match name {
            "attribute" => wanted.values.push(envoy::parse_pair(&value)?),
            UNTIL => wanted.until = Some(value),
            "prefix" => wanted.prefix = value,
            "format" => {
                let format = Format::from_str(&value, false);
                wanted.format = format.map_err(|_| "--format is yaml, csv or jsonl".to_owned())?;
            }
            name => wanted.values.push((name.to_owned(), value)),
        }
    }
    Ok(wanted)
}

/// The options, if a policy accepts the entry.
fn checked(wanted: Wanted) -> Result<Wanted, String> {
    for (number, (name, value)) in wanted.values.iter().enumerate() {
        if !is_name(name) {
            return Err(format!(
                "--{name}: an attribute is named by up to 64 of a-z, 0-9, _ and -, beginning with \
                 a letter"
            ));
        }
        if RESERVED.contains(&&**name) {
            return Err(format!(
                "--{name}: a word of the policy language, which cannot be an attribute"
            ));
        }
        if !(1..=ATTRIBUTE_BYTES_MAX).contains(&value.len()) {
            return Err(format!(
                "--{name}: a value has 1 to {ATTRIBUTE_BYTES_MAX} bytes"
            ));
        }
        if wanted
            .values
            .iter()
            .take(number)
            .any(|(other, _)| other == name)
        {
            return Err(format!("--{name} is there twice"));
        }
    }
    if let Some(until) = &wanted.until
        && rfc3339::until(until).is_none()
    {
        return Err(format!(
            "--until {until}: expected a date or a time with its offset: 2027-01-31, or \
             2027-01-31T18:00:00Z"
        ));
    }
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    if wanted.prefix.len() > PREFIX_CHARS_MAX || !wanted.prefix.bytes().all(fits) {
        return Err(format!(
            "--prefix: up to {PREFIX_CHARS_MAX} of a-z, A-Z, 0-9, ., _ and -"
        ));
    }
    Ok(wanted)
}

/// Characters of the alphabet, each equally likely.
fn random() -> Result<String, Failure> {
    let mut key = String::new();
    while key.len() < KEY_CHARS {
        let mut byte = [0];
        getrandom::fill(&mut byte)
            .map_err(|error| Failure::Usage(format!("the system has no randomness: {error}")))?;
        // A number above the last multiple of 62 would favour the first characters.
        let number = byte.first().map_or(0, |byte| usize::from(*byte));
        if number < ALPHABET.len().saturating_mul(4) {
            let place = number.checked_rem(ALPHABET.len());
            let character = place.and_then(|place| ALPHABET.get(place));
            key.extend(character.map(|byte| char::from(*byte)));
        }
    }
    Ok(key)
}

fn sha256(key: &str) -> String {
    let digest = Sha256::digest(key);
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The line of the directory, with its names before it if the form has them.
fn line(fields: &[(String, String)], format: Format) -> Result<String, Failure> {
    Ok(match format {
        Format::Yaml => {
            let fields: Vec<String> = fields
                .iter()
                .map(|(name, value)| format!("{name}: {}", text(value)))
                .collect();
            format!("- {{ {} }}\n", fields.join(", "))
        }
        Format::Jsonl => {
            let fields = fields
                .iter()
                .map(|(name, value)| (name.clone(), serde_json::Value::from(&**value)));
            format!("{}\n", serde_json::Value::Object(fields.collect()))
        }
        Format::Csv => {
            let mut writer = csv::Writer::from_writer(Vec::new());
            let names = fields.iter().map(|(name, _)| name);
            let values = fields.iter().map(|(_, value)| value);
            let written = writer
                .write_record(names)
                .and_then(|()| writer.write_record(values));
            let failed = |error: &dyn std::fmt::Display| Failure::Usage(error.to_string());
            written.map_err(|error| failed(&error))?;
            let bytes = writer.into_inner().map_err(|error| failed(&error))?;
            String::from_utf8(bytes).map_err(|error| failed(&error))?
        }
    })
}
