//! The command line: the core of the filter, without a proxy.
//!
//! Exit codes: 0 success; 1 invalid policy or filter list; 2 usage or I/O error.

mod check;
mod directory;
mod document;
mod envoy;
mod explain;
mod inspect;
mod key;
mod kubernetes;
mod manual;
mod prometheus;
mod prose;
mod reference;
mod render;
mod schema;
mod version;
mod yaml;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, CommandFactory as _, Parser, Subcommand};

use directory::DirectoryArgs;
use envoy::{Address, EngineArgs};
use explain::ExplainArgs;

use crate::base::version::BUILD;

/// API limits for Envoy, written as a policy.
#[derive(Debug, Parser)]
#[command(name = "sluicegate", version = BUILD, about, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Validate a policy: list every error, or print a summary.
    Check {
        /// The policy, YAML or JSON; `-` reads standard input.
        policy: PathBuf,
        #[command(flatten)]
        directory: DirectoryArgs,
    },
    /// Explain the verdict of a policy on one request: the caller, the limits that apply, the
    /// response.
    Explain(ExplainArgs),
    /// Print the Envoy configuration that enforces a policy.
    Render {
        #[command(subcommand)]
        target: Render,
    },
    /// Show what a gateway has counted for one caller, or reset one of its limits.
    Inspect(inspect::InspectArgs),
    /// Create keys for callers.
    Key {
        #[command(subcommand)]
        what: key::Key,
    },
    /// Print the JSON Schema of the policy language, for editors and CI.
    Schema,
    /// Print the version and the commit of a filter.
    Version {
        /// The filter: a file `sluicegate.wasm`.
        filter: PathBuf,
    },
    /// Print the completion of this command line for a shell.
    Completions {
        /// The shell.
        shell: manual::CompletedShell,
    },
    /// Print this command line's manual page, in roff.
    Man,
    /// Print the reference of the policy language: docs/policy.md of the repository.
    #[command(hide = true)]
    Reference,
}

#[derive(Debug, Subcommand)]
enum Render {
    /// A complete bootstrap: listener, filter, upstream, admin.
    Envoy(EnvoyArgs),
    /// The listeners alone, for the file that a bootstrap with `--listeners` watches.
    Listeners(ListenerArgs),
    /// The filter with its policy alone, for the file that `--extension` names.
    Extension(ExtensionArgs),
    /// Recording rules for Prometheus, with the numbers of the policy's limits.
    PrometheusRules(PrometheusArgs),
    /// Manifests for Istio: WasmPlugin and Telemetry.
    Istio(kubernetes::IstioArgs),
    /// Manifests for Envoy Gateway: EnvoyExtensionPolicy and ClientTrafficPolicy, and a route for
    /// the policy's endpoint.
    EnvoyGateway(kubernetes::EnvoyGatewayArgs),
}

#[derive(Debug, Args)]
struct ListenerArgs {
    /// The policy, YAML or JSON; `-` reads standard input.
    #[arg(long)]
    policy: PathBuf,
    #[command(flatten)]
    directory: DirectoryArgs,
    /// The address that the gateway listens on: IP:PORT.
    #[arg(long, value_parser = Address::parse_ip)]
    listen: Address,
    /// The path of the filter (wasm) on the machine that runs Envoy.
    #[arg(long, required_unless_present = "extension")]
    wasm: Option<PathBuf>,
    /// Have Envoy read the filter and its policy from this file, which `render extension` writes,
    /// and watch it: rename a new file into place, and open connections use it from their next
    /// request on.
    #[arg(long, value_name = "FILE")]
    extension: Option<PathBuf>,
    /// HTTP filters to insert before it, such as one that verifies tokens: a file with a YAML list
    /// in Envoy's format.
    #[arg(long)]
    filters: Option<PathBuf>,
    /// Send a log record of each refusal, the usage of each caller and, with `render envoy`, the
    /// metrics to an OpenTelemetry collector: HOST:PORT.
    #[arg(long, value_parser = Address::parse)]
    otlp: Option<Address>,
    /// Listen here as well, on the loopback interface, for `sluicegate inspect`: IP:PORT.
    #[arg(long, value_name = "IP:PORT", value_parser = Address::parse_loopback)]
    inspect: Option<Address>,
}

#[derive(Debug, Args)]
struct ExtensionArgs {
    /// The policy, YAML or JSON; `-` reads standard input.
    #[arg(long)]
    policy: PathBuf,
    #[command(flatten)]
    directory: DirectoryArgs,
    /// The path of the filter (wasm) on the machine that runs Envoy.
    #[arg(long)]
    wasm: PathBuf,
    /// The collector of the audit log and of usage, as for `render envoy`: HOST:PORT.
    #[arg(long, value_parser = Address::parse)]
    otlp: Option<Address>,
}

#[derive(Debug, Args)]
struct PrometheusArgs {
    /// The policy, YAML or JSON; `-` reads standard input.
    #[arg(long)]
    policy: PathBuf,
    #[command(flatten)]
    directory: DirectoryArgs,
}

#[derive(Debug, Args)]
struct EnvoyArgs {
    #[command(flatten)]
    listener: ListenerArgs,
    /// The upstream of all requests: HOST:PORT.
    #[arg(long, value_parser = Address::parse)]
    upstream: Address,
    /// The address of Envoy's admin interface: IP:PORT. Keep it on the loopback interface.
    #[arg(long, value_parser = Address::parse_ip)]
    admin: Address,
    /// Omit the listeners, and have Envoy watch this file for them: rename a new file into place,
    /// and it takes effect without a restart.
    #[arg(long)]
    listeners: Option<PathBuf>,
    /// Listen here for Prometheus as well, and answer `GET /stats/prometheus` alone: IP:PORT. The
    /// admin interface can then stay on the loopback interface.
    #[arg(long, value_parser = Address::parse_ip)]
    metrics: Option<Address>,
    /// With `--otlp`, do not have Envoy send the metrics to the collector: Envoy before 1.38
    /// cannot, or Prometheus scrapes them.
    #[arg(long, requires = "otlp")]
    no_otlp_metrics: bool,
    /// Metadata of the proxy, for the policy's `node_metadata`: KEY=VALUE. Can be repeated.
    #[arg(long, value_name = "KEY=VALUE", value_parser = envoy::parse_pair)]
    node_metadata: Vec<(String, String)>,
    #[command(flatten)]
    engine: EngineArgs,
}

/// Why a command did not succeed.
enum Failure {
    /// The input has errors, which have been reported.
    Invalid,
    /// The usage is wrong, or a file cannot be read; the message states which, and why.
    Usage(String),
}

/// Runs the command line with the arguments of this process.
#[must_use]
pub fn main() -> ExitCode {
    let done = match Cli::parse().command {
        Command::Check { policy, directory } => check::run(&policy, &directory),
        Command::Explain(args) => explain::run(&args),
        Command::Render {
            target: Render::Envoy(args),
        } => render::envoy(&args),
        Command::Render {
            target: Render::Listeners(args),
        } => render::listeners(&args),
        Command::Render {
            target: Render::Extension(args),
        } => render::extension(&args),
        Command::Render {
            target: Render::PrometheusRules(args),
        } => prometheus::rules(&args.policy, &args.directory),
        Command::Render {
            target: Render::Istio(args),
        } => kubernetes::istio(&args),
        Command::Render {
            target: Render::EnvoyGateway(args),
        } => kubernetes::envoy_gateway(&args),
        Command::Inspect(args) => inspect::run(&args),
        Command::Key {
            what: key::Key::New(args),
        } => key::new(&args),
        Command::Schema => Ok(schema::run()),
        Command::Version { filter } => version::run(&filter),
        Command::Completions { shell } => manual::completions(Cli::command(), shell),
        Command::Man => manual::page(Cli::command()),
        Command::Reference => reference::run(),
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

/// Prints to standard output. A closed pipe is not a failure.
fn print(text: &str) -> ExitCode {
    use std::io::{ErrorKind, Write as _};
    match std::io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            eprintln!("sluicegate: cannot write to standard output: {error}");
            ExitCode::from(2)
        }
        Ok(()) | Err(_) => ExitCode::SUCCESS,
    }
}
