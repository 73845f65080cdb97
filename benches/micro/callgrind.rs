//! Instructions: this program runs itself under valgrind, which counts one turn of each case apart.

use std::fs;
use std::io::ErrorKind;
use std::process::{Command, Stdio};

use super::cases::{Case, one_turn};

/// The argument by which it knows that it is counted.
pub(crate) const COUNTED: &str = "--counted";

/// What valgrind knows a turn by.
const TURN: &str = "*::one_turn";

/// Runs under valgrind, once.
pub(crate) fn run(cases: &mut [Case]) {
    for case in cases {
        // All buffers are as large as they will be.
        (0..case.times).for_each(|_| (case.step)());
        one_turn(case);
    }
}

/// Instructions of each case, one time: those whose names have one of these words.
///
/// # Errors
/// Why there are none.
pub(crate) fn instructions(cases: &[Case], words: &[&str]) -> Result<Vec<f64>, String> {
    let scratch = tempfile::tempdir().unwrap();
    let counts = scratch.path().join("turn");
    let program = std::env::current_exe().unwrap();
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--collect-atstart=no"])
        .args([format!("--toggle-collect={TURN}"), format!("--dump-after={TURN}")])
        .arg(format!("--callgrind-out-file={}", counts.display()))
        .arg(program)
        .args(["--bench", COUNTED])
        .args(words)
        .stdin(Stdio::null())
        .output();
    let output = match output {
        Ok(output) => output,
        Err(error) if error.kind() == ErrorKind::NotFound => {
            return Err("no instructions are counted: valgrind is not installed".to_owned());
        }
        Err(error) => return Err(format!("no instructions are counted: valgrind does not start: {error}")),
    };
    if !output.status.success() {
        let told = String::from_utf8_lossy(&output.stderr);
        return Err(format!("no instructions are counted: valgrind ended with {}:\n{told}", output.status));
    }
    let one = |(case, number): (&Case, usize)| {
        let turn = fs::read_to_string(format!("{}.{number}", counts.display())).ok()?;
        let total = turn.lines().find_map(|line| line.strip_prefix("totals: "))?;
        Some(total.trim().parse::<f64>().ok()? / case.times as f64)
    };
    let all: Option<Vec<f64>> = cases.iter().zip(1..).map(one).collect();
    all.ok_or_else(|| "no instructions are counted: valgrind found no turns in this program".to_owned())
}
