//! Rules that no compiler checks: the order of the modules, the size of a file, the width of a
//! line, links, equal versions, and text that must never land.

use std::path::Path;
use std::process::Command;

/// The modules in the order of the data flow: each may use itself and those before it.
const LIB: &str = include_str!("../src/lib.rs");

/// Modules that may not use each other although the order would allow it.
const APART: [(&str, &str, &str); 7] = [
    ("limit", "host", "the algorithms are pure"),
    ("payload", "host", "the meters are pure"),
    ("policy", "host", "a policy is checked without a proxy"),
    ("queue", "policy", "a queue knows pools, not their callers"),
    (
        "store",
        "policy",
        "a store knows keys and rules, not their callers",
    ),
    ("cli", "filter", "the command line has no streams"),
    ("cli", "wasm", "the command line is native"),
];

const LINES_MAX: usize = 400;

/// In characters. The formatter cannot break macros, strings and comments.
const LINE_WIDTH_MAX: usize = 100;

/// In two halves each, so that this file does not break the rule.
const UNFINISHED: [&str; 5] = [
    concat!("todo", "!("),
    concat!("unimplemented", "!("),
    concat!("dbg", "!("),
    concat!("FIX", "ME"),
    concat!("#[", "ignore"),
];

/// The first directories of private paths.
const PRIVATE: [&str; 5] = ["home", "root", "Users", "work", "mnt"];

#[test]
fn the_repository_is_tidy() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let files = tracked(root).unwrap_or_else(|| walked(root, ""));
    assert!(
        files.iter().any(|file| file == "src/lib.rs"),
        "{} files, and src/lib.rs is not one",
        files.len()
    );
    let mut findings = Vec::new();
    for file in files {
        // A tracked file may be missing on disk.
        let Ok(bytes) = std::fs::read(root.join(&file)) else {
            continue;
        };
        findings.extend(inspect(&file, &String::from_utf8_lossy(&bytes)));
    }
    assert!(findings.is_empty(), "\n{}\n", findings.join("\n"));
}

#[test]
#[expect(clippy::too_many_lines, reason = "one table of cases")]
fn every_rule_finds_what_it_forbids() {
    for (file, text, finding) in [
        (
            "src/base/a.rs",
            "\nuse crate::limit::Decision;\n",
            "src/base/a.rs:2: base may not use limit",
        ),
        (
            "src/engine.rs",
            "fn a() { crate::reply::b() }",
            "src/engine.rs:1: engine may not use reply",
        ),
        (
            "src/policy/a.rs",
            "use crate::host::fault::Fault;",
            "src/policy/a.rs:1: policy may not use host",
        ),
        (
            "src/cli.rs",
            "use crate::filter::stream::Stream;",
            "src/cli.rs:1: cli may not use filter",
        ),
        (
            "src/cli.rs",
            "use crate::{base, filter};",
            "src/cli.rs:1: one module for each `crate::`",
        ),
        (
            "src/helpers.rs",
            "",
            "src/helpers.rs:1: src/lib.rs does not list helpers",
        ),
        (
            "src/bin/a.rs",
            "sluicegate::policy::b()",
            "src/bin/a.rs:1: a program uses the crate's cli alone",
        ),
        (
            "src/base.rs",
            &"//\n".repeat(401),
            "src/base.rs:401: more than 400 lines",
        ),
        (
            "benches/a.rs",
            &format!("\n{}é", "/".repeat(100)),
            "benches/a.rs:2: more than 100 characters",
        ),
        (
            "tests/a.rs",
            concat!("// FIX", "ME later"),
            concat!("tests/a.rs:1: FIX", "ME must not land"),
        ),
        (
            "tests/a.rs",
            concat!("#[", "ignore]"),
            concat!("tests/a.rs:1: #[", "ignore must not land"),
        ),
        (
            "README.md",
            concat!("cd /ho", "me/me"),
            "README.md:1: a path of a private machine",
        ),
    ] {
        let found = inspect(file, text);
        assert!(
            found.len() == 1 && found[0].starts_with(finding),
            "{file}: {found:?}, not {finding}"
        );
    }
    for (file, text) in [
        (
            "src/engine.rs",
            "use crate::base::time::Span;\nuse crate::engine::Verdict;",
        ),
        ("src/wasm/host.rs", "//! See [`crate::cli`]."),
        ("src/bin/a.rs", "sluicegate::cli::main()"),
        ("src/base.rs", &"//\n".repeat(400)),
        ("src/base.rs", &"ä".repeat(100)),
        ("README.md", &"a".repeat(101)),
        (
            "README.md",
            concat!("https://example.org/home/page and target/wo", "rk/x"),
        ),
    ] {
        assert_eq!(inspect(file, text), [""; 0], "{file}");
    }
}

#[test]
fn the_order_of_the_modules_is_read_from_the_crate() {
    let lib = "//! mod doc;\npub mod one;\n\n// Two.\n#[cfg(test)]\nmod two;\npub fn mod_();\n";
    assert_eq!(order(lib).collect::<Vec<_>>(), ["one", "two"]);
    assert_eq!(order(LIB).next(), Some("base"));
}

#[test]
fn every_link_leads_to_a_file() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let pages = tracked(root)
        .unwrap_or_else(|| walked(root, ""))
        .into_iter()
        .filter(|file| file.ends_with(".md"));
    for page in pages {
        let folder = root.join(&page).parent().unwrap().to_owned();
        let Ok(text) = std::fs::read_to_string(root.join(&page)) else {
            continue;
        };
        for link in links(&text).filter(|link| !link.contains("://")) {
            let file = link.split('#').next().unwrap_or_default();
            assert!(folder.join(file).exists(), "{page}: {link} does not exist");
        }
    }
}

#[test]
fn links_are_found() {
    let text = "[a](b.md) and [c](d/e.md#f), a call(x), [g](https://h.example/) and [i](#j)";
    assert_eq!(
        links(text).collect::<Vec<_>>(),
        ["b.md", "d/e.md#f", "https://h.example/", "#j"]
    );
}

#[test]
fn the_index_lists_every_decision() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/decisions");
    let index = std::fs::read_to_string(folder.join("README.md")).unwrap();
    let listed: Vec<&str> = links(&index).filter(|link| !link.contains('/')).collect();
    for entry in std::fs::read_dir(folder).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        assert!(
            name == "README.md" || listed.contains(&name.as_str()),
            "docs/decisions/README.md does not list {name}"
        );
    }
}

/// `make` runs the pinned toolchain only, so it verifies the oldest supported Rust only if both are
/// the same.
#[test]
fn the_pinned_rust_is_the_oldest_supported() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let pinned = std::fs::read_to_string(root.join("rust-toolchain.toml")).unwrap();
    let oldest = env!("CARGO_PKG_RUST_VERSION");
    assert!(
        pinned.contains(&format!("channel = \"{oldest}."))
            || pinned.contains(&format!("channel = \"{oldest}\"")),
        "rust-toolchain.toml does not pin {oldest}, the `rust-version` of Cargo.toml"
    );
}

/// The targets of the Markdown links in `text`.
fn links(text: &str) -> impl Iterator<Item = &str> {
    text.split("](")
        .skip(1)
        .filter_map(|rest| Some(rest.split_once(')')?.0))
}

/// The findings in one file, each as `file:line: rule`.
fn inspect(file: &str, text: &str) -> Vec<String> {
    let mut findings = Vec::new();
    let mut find = |index: usize, fault: String| {
        findings.push(format!("{file}:{}: {fault}", index.saturating_add(1)))
    };
    let is_rust = file.ends_with(".rs");
    let module = file
        .strip_prefix("src/")
        .and_then(|rest| rest.split(['/', '.']).next());
    if let Some(module) = module
        && !["lib", "bin"].contains(&module)
        && !order(LIB).any(|known| known == module)
    {
        find(0, format!("src/lib.rs does not list {module}"));
    }
    if is_rust && text.lines().count() > LINES_MAX {
        find(
            LINES_MAX,
            format!("more than {LINES_MAX} lines: it has become two ideas"),
        );
    }
    for (index, line) in text.lines().enumerate() {
        for word in UNFINISHED
            .iter()
            .filter(|word| is_rust && line.contains(**word))
        {
            find(index, format!("{word} must not land"));
        }
        if is_rust && line.chars().count() > LINE_WIDTH_MAX {
            find(index, format!("more than {LINE_WIDTH_MAX} characters"));
        }
        if names_private_path(line) {
            find(index, "a path of a private machine".to_owned());
        }
        let Some(module) = module.filter(|_| !line.trim_start().starts_with("//")) else {
            continue;
        };
        let prefix = if module == "bin" {
            "sluicegate::"
        } else {
            "crate::"
        };
        for used in line.split(prefix).skip(1) {
            if let Err(why) = may_use(module, used) {
                find(index, why);
            }
        }
    }
    findings
}

/// Whether `module` may use the path `used`, the text after `crate::`.
fn may_use(module: &str, used: &str) -> Result<(), String> {
    if used.starts_with('{') {
        return Err("one module for each `crate::`".to_owned());
    }
    let used = used
        .split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_')
        .next()
        .unwrap_or_default();
    let place = |module: &str| order(LIB).position(|known| known == module);
    if module == "bin" {
        return if used == "cli" {
            Ok(())
        } else {
            Err("a program uses the crate's cli alone".to_owned())
        };
    }
    if let Some((.., why)) = APART
        .iter()
        .find(|(user, what, _)| (*user, *what) == (module, used))
    {
        return Err(format!("{module} may not use {used}: {why}"));
    }
    if place(used).is_some_and(|used| Some(used) <= place(module)) {
        return Ok(());
    }
    let order: Vec<&str> = order(LIB).collect();
    Err(format!(
        "{module} may not use {used}: the order is {}",
        order.join(" < ")
    ))
}

/// The modules that `lib` declares, in its order.
fn order(lib: &str) -> impl Iterator<Item = &str> {
    lib.lines().filter_map(|line| {
        let module = line.strip_prefix("pub ").unwrap_or(line);
        module.strip_prefix("mod ")?.strip_suffix(';')
    })
}

/// Whether `line` contains an absolute path that begins with one of [`PRIVATE`].
fn names_private_path(line: &str) -> bool {
    PRIVATE.iter().any(|directory| {
        let path = format!("/{directory}/");
        line.match_indices(&path).any(|(start, _)| {
            // After a word, it is part of a longer path or of a URL.
            let before = line.get(..start).and_then(|text| text.chars().next_back());
            before.is_none_or(|letter| !letter.is_alphanumeric() && !"._-*}$/".contains(letter))
        })
    })
}

/// The files of the repository, including those not yet added; `None` without git or its data.
fn tracked(root: &Path) -> Option<Vec<String>> {
    let list = [
        "ls-files",
        "-z",
        "--cached",
        "--others",
        "--exclude-standard",
    ];
    let output = Command::new("git")
        .args(list)
        .current_dir(root)
        .output()
        .ok()?;
    let names = String::from_utf8(output.stdout)
        .ok()
        .filter(|names| output.status.success() && !names.is_empty())?;
    Some(names.split_terminator('\0').map(str::to_owned).collect())
}

/// The same without git, approximately.
fn walked(root: &Path, below: &str) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(root.join(below)) else {
        return Vec::new();
    };
    let mut files = Vec::new();
    for entry in entries.flatten() {
        let name = format!("{below}{}", entry.file_name().display());
        match entry.file_type() {
            Ok(kind) if kind.is_dir() && ![".git", ".venv", "target"].contains(&name.as_str()) => {
                files.extend(walked(root, &format!("{name}/")));
            }
            Ok(kind) if kind.is_file() => files.push(name),
            Ok(_) | Err(_) => {}
        }
    }
    files
}
