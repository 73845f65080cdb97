//! `--version`, `version`, `completions` and `man`.

use std::process::Command;

use super::{file, run};
use sluicegate::base::version::{BUILD, SECTION};

/// A module with one custom section.
fn module(name: &str, content: &[u8]) -> Vec<u8> {
    let mut section = vec![u8::try_from(name.len()).unwrap()];
    section.extend(name.bytes());
    section.extend(content);
    let mut module = b"\0asm\x01\0\0\0".to_vec();
    // A section of types without one precedes it.
    module.extend([1, 1, 0]);
    module.extend([0, u8::try_from(section.len()).unwrap()]);
    module.extend(section);
    module
}

#[test]
fn the_version_has_the_commit() {
    let (code, stdout, stderr) = run(&["--version"], b"");
    assert_eq!((code, stderr.as_str()), (0, ""));
    assert_eq!(stdout, format!("sluicegate {BUILD}\n"));
    let (version, commit) = BUILD.split_once(' ').unwrap();
    assert_eq!(version, env!("CARGO_PKG_VERSION"));
    let commit = commit.strip_prefix('(').unwrap().strip_suffix(')').unwrap();
    // A build that states its commit, or one without git, says something else.
    if commit != "unknown" && option_env!("SLUICEGATE_COMMIT").is_none_or(str::is_empty) {
        assert_eq!(commit.len(), 12, "{commit}");
        assert!(commit.bytes().all(|byte| byte.is_ascii_hexdigit()));
    }
}

#[test]
fn the_version_of_a_filter_is_in_its_section() {
    let folder = tempfile::tempdir().unwrap();
    let good = file(&folder, "good.wasm", &module(SECTION, b"1.2.3 (abc)"));
    assert_eq!(
        run(&["version", &good], b""),
        (0, "sluicegate 1.2.3 (abc)\n".to_owned(), String::new())
    );
    let whole = module(SECTION, b"1.2.3 (abc)");
    for (bytes, says) in [
        (b"no module".to_vec(), "is not a WebAssembly module"),
        (module("name", b"1.2.3"), "does not state a version"),
        (module(SECTION, b"1\x1b[2J"), "does not state a version"),
        (module(SECTION, b"\xff"), "does not state a version"),
        (
            whole[..whole.len() - 1].to_vec(),
            "does not state a version",
        ),
        (b"\0asm\x01\0\0\0".to_vec(), "does not state a version"),
    ] {
        let path = file(&folder, "bad.wasm", &bytes);
        let (code, stdout, stderr) = run(&["version", &path], b"");
        assert_eq!((code, stdout.as_str()), (2, ""), "{bytes:?}");
        assert!(stderr.contains(says), "{bytes:?}: {stderr}");
    }
    assert_eq!(run(&["version", "/no/such/file"], b"").0, 2);
}

#[test]
fn each_shell_has_a_completion_of_each_command() {
    for shell in ["bash", "zsh", "fish"] {
        let (code, stdout, stderr) = run(&["completions", shell], b"");
        assert_eq!((code, stderr.as_str()), (0, ""), "{shell}");
        for word in ["explain", "completions", "listeners", "engine-tls"] {
            assert!(stdout.contains(word), "{shell}: {word}");
        }
    }
    assert_eq!(run(&["completions", "tcsh"], b"").0, 2);
    let folder = tempfile::tempdir().unwrap();
    let (_, script, _) = run(&["completions", "bash"], b"");
    let path = file(&folder, "sluicegate.bash", script.as_bytes());
    let asks = format!(
        "source {path}; COMP_WORDS=(sluicegate ex); COMP_CWORD=1; \
         _sluicegate sluicegate ex sluicegate; printf '%s' \"${{COMPREPLY[*]}}\""
    );
    let answer = Command::new("bash").args(["-c", &asks]).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&answer.stdout), "explain");
}

#[test]
fn the_manual_page_has_a_section_for_each_command() {
    let (code, page, stderr) = run(&["man"], b"");
    assert_eq!((code, stderr.as_str()), (0, ""));
    assert!(page.contains(".TH sluicegate 1"), "{page}");
    for section in [
        "CHECK",
        "EXPLAIN",
        "RENDER ENVOY",
        "RENDER LISTENERS",
        "VERSION",
    ] {
        let title = format!(".SH \"SLUICEGATE {section}\"\n");
        assert_eq!(page.matches(&title).count(), 1, "{section}");
    }
    assert!(page.contains("\\-\\-engine\\-tls"), "{page}");
    // Hidden commands have none.
    assert!(!page.contains("REFERENCE"), "{page}");
}
