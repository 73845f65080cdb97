//! The command line; see [`sluicegate::cli`].

use std::process::ExitCode;

fn main() -> ExitCode {
    sluicegate::cli::main()
}
