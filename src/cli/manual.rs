//! `sluicegate completions` and `sluicegate man`: the command line for a shell and for `man`.

use std::io;

use clap::{Command, ValueEnum};
use clap_complete::Shell;

use super::Failure;

/// The shells that have a completion.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(super) enum CompletedShell {
    /// GNU bash.
    Bash,
    /// The Z shell.
    Zsh,
    /// fish.
    Fish,
}

/// The completion of `command` for a shell.
pub(super) fn completions(mut command: Command, shell: CompletedShell) -> Result<String, Failure> {
    let shell = match shell {
        CompletedShell::Bash => Shell::Bash,
        CompletedShell::Zsh => Shell::Zsh,
        CompletedShell::Fish => Shell::Fish,
    };
    let name = command.get_name().to_owned();
    written(|out| {
        clap_complete::generate(shell, &mut command, name, out);
        Ok(())
    })
}

/// One page for `command` and all its commands, in roff.
pub(super) fn page(mut command: Command) -> Result<String, Failure> {
    command.build();
    written(|out| {
        let man = clap_mangen::Man::new(command.clone());
        man.render_title(out)?;
        man.render_name_section(out)?;
        man.render_synopsis_section(out)?;
        man.render_options_section(out)?;
        command_sections(&command, out)?;
        man.render_version_section(out)
    })
}

/// A section for each command below `command`, by its full name.
fn command_sections(command: &Command, out: &mut Vec<u8>) -> io::Result<()> {
    for each in command.get_subcommands() {
        if each.is_hide_set() || each.get_name() == "help" {
            continue;
        }
        if !each.has_subcommands() {
            let name = each.get_bin_name().unwrap_or_else(|| each.get_name());
            let name = name.to_owned();
            let title = roff_line(&name.to_uppercase());
            out.extend(format!(".SH \"{title}\"\n").into_bytes());
            let man = clap_mangen::Man::new(each.clone().display_name(name));
            let mut part = Vec::new();
            man.render_description_section(&mut part)?;
            man.render_options_section(&mut part)?;
            out.extend(
                String::from_utf8_lossy(&part)
                    .replace(".SH ", ".SS ")
                    .into_bytes(),
            );
        }
        command_sections(each, out)?;
    }
    Ok(())
}

/// Text within a quoted argument of a request.
fn roff_line(text: &str) -> String {
    text.replace('-', "\\-")
}

fn written(write: impl FnOnce(&mut Vec<u8>) -> io::Result<()>) -> Result<String, Failure> {
    let mut out = Vec::new();
    let done = write(&mut out);
    done.map_err(|error| Failure::Usage(error.to_string()))?;
    String::from_utf8(out).map_err(|error| Failure::Usage(error.to_string()))
}
