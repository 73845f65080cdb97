//! Counts instructions: this program runs itself under valgrind, which counts one turn of each
//! case.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;
use std::process::{Command, Stdio};

use super::cases::{Case, one_turn};

/// The argument for the run under valgrind.
pub(crate) const COUNTED: &str = "--counted";

/// The function that valgrind counts.
const TURN: &str = "*::one_turn";

/// Runs each case once, under valgrind.
pub(crate) fn run(cases: &mut [Case]) {
    for case in cases {
        // After these, all buffers have their final size.
        for _ in 0..case.times {
            (case.step)();
        }
        one_turn(case);
    }
}

/// The instructions of one step, for each case whose name contains one of these words.
///
/// # Errors
/// The reason if they cannot be counted.
pub(crate) fn instructions(cases: &[Case], words: &[&str]) -> Result<Vec<f64>, String> {
    let scratch = tempfile::tempdir().unwrap();
    let counts = scratch.path().join("turn");
    let program = std::env::current_exe().unwrap();
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--collect-atstart=no"])
        .args([
            format!("--toggle-collect={TURN}"),
            format!("--dump-after={TURN}"),
        ])
        .arg(format!("--callgrind-out-file={}", counts.display()))
        .arg(program)
        .args(["--bench", COUNTED])
        .args(words)
        .stdin(Stdio::null())
        .output();
    let output = match output {
        Ok(output) => output,
        Err(error) if error.kind() == ErrorKind::NotFound => {
            return Err("cannot count instructions: valgrind is not installed".to_owned());
        }
        Err(error) => {
            return Err(format!(
                "cannot count instructions: valgrind does not start: {error}"
            ));
        }
    };
    if !output.status.success() {
        let stderr = String::from_utf8_lossy(&output.stderr);
        return Err(format!(
            "cannot count instructions: valgrind ended with {}:\n{stderr}",
            output.status
        ));
    }
    let turns = cases
        .iter()
        .zip(1..)
        .map(|(case, number)| Some(turn(&counts, number)? / case.times as f64));
    let turns: Option<Vec<f64>> = turns.collect();
    turns.ok_or_else(|| {
        "cannot count instructions: valgrind did not find the turns of this program".to_owned()
    })
}

/// The instructions of the turn with this number.
fn turn(counts: &Path, number: usize) -> Option<f64> {
    let turn = fs::read_to_string(format!("{}.{number}", counts.display())).ok()?;
    turn.lines()
        .find_map(|line| line.strip_prefix("totals: "))?
        .trim()
        .parse()
        .ok()
}
