//! The command line: the same core, without a proxy.
//!
//! Exit codes: 0 success; 1 the policy (or a list of filters) is invalid; 2 a usage or I/O error.

mod check;
mod document;
mod envoy;
mod explain;
mod render;
mod schema;
mod yaml;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

use envoy::Address;
use explain::ExplainArgs;

/// API limits for Envoy, written as a policy.
#[derive(Debug, Parser)]
#[command(name = "sluicegate", version, about, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Validate a policy: list every error, or print a summary.
    Check {
        /// The policy, YAML or JSON; `-` is the standard input.
        policy: PathBuf,
    },
    /// Tells what a policy says of one request, and why: who calls, which limits apply, what is answered.
    Explain(ExplainArgs),
    /// Prints what Envoy needs to enforce a policy.
    Render {
        #[command(subcommand)]
        what: Render,
    },
    /// Prints the JSON Schema of the policy language, for editors and for CI.
    Schema,
}

#[derive(Debug, Subcommand)]
enum Render {
    /// A complete bootstrap: listener, filter, upstream, admin.
    Envoy(EnvoyArgs),
    /// The listeners alone, for the file that a bootstrap with `--listeners` watches.
    Listeners(ListenerArgs),
}

#[derive(Debug, Args)]
struct ListenerArgs {
    /// The policy, YAML or JSON; `-` is the standard input.
    #[arg(long)]
    policy: PathBuf,
    /// Where the gateway listens: IP:PORT.
    #[arg(long, value_parser = Address::parse_ip)]
    listen: Address,
    /// The filter, at the path where Envoy will find it.
    #[arg(long)]
    wasm: PathBuf,
    /// HTTP filters to put before it, such as one that verifies tokens: a file with a YAML list, as
    /// Envoy takes it.
    #[arg(long)]
    filters: Option<PathBuf>,
}

#[derive(Debug, Args)]
struct EnvoyArgs {
    #[command(flatten)]
    listener: ListenerArgs,
    /// Where requests go: HOST:PORT.
    #[arg(long, value_parser = Address::parse)]
    upstream: Address,
    /// Where Envoy's admin interface listens: IP:PORT. Keep it on the loopback interface.
    #[arg(long, value_parser = Address::parse_ip)]
    admin: Address,
    /// Leave the listeners out, and have Envoy watch this file for them: replace it by a rename,
    /// and a new policy is at work without a restart.
    #[arg(long)]
    listeners: Option<PathBuf>,
    /// What the proxy is told of itself, for the policy's `node_metadata`: KEY=VALUE, any number of times.
    #[arg(long, value_name = "KEY=VALUE", value_parser = envoy::parse_pair)]
    node_metadata: Vec<(String, String)>,
}

/// How a command ended, where not well.
enum Failure {
    /// What was read is invalid; its errors were printed.
    Invalid,
    /// The call is wrong, or a file cannot be read; this says which and why.
    Usage(String),
}

/// Runs the command line of this process.
#[must_use]
pub fn main() -> ExitCode {
    let done = match Cli::parse().command {
        Command::Check { policy } => check::run(&policy),
        Command::Explain(args) => explain::run(&args),
        Command::Render { what: Render::Envoy(args) } => render::envoy(&args),
        Command::Render { what: Render::Listeners(args) } => render::listeners(&args),
        Command::Schema => Ok(schema::run()),
    };
    match done {
        Ok(text) => print(&text),
        Err(Failure::Invalid) => ExitCode::from(1),
        Err(Failure::Usage(message)) => {
            eprintln!("sluicegate: {message}");
            ExitCode::from(2)
        }
    }
}

/// A reader that has gone away is no failure of ours.
fn print(text: &str) -> ExitCode {
    use std::io::{ErrorKind, Write as _};
    match std::io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            eprintln!("sluicegate: the standard output: {error}");
            ExitCode::from(2)
        }
        Ok(()) | Err(_) => ExitCode::SUCCESS,
    }
}
