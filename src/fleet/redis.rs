//! Redis or Valkey as the engine: one script answers one take.

pub mod resp;

/// The script that answers a take. [`super::counter`] is its model.
pub const SCRIPT: &str = include_str!("redis/take.lua");

/// The script's name in the engine: its SHA-1.
pub const SCRIPT_SHA: &str = "f68a19adf022de03b4faf3fe7e511c662b6664d5";

#[cfg(test)]
mod tests {
    use sha1::{Digest, Sha1};

    #[test]
    fn the_name_of_the_script_is_its_digest() {
        let digest: String = Sha1::digest(super::SCRIPT)
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        assert_eq!(super::SCRIPT_SHA, digest);
    }
}
