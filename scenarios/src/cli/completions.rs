//! `sigpool completions SHELL`.

use crate::scenario::BUILT_IN;
use clap::Command;
use clap::builder::PossibleValuesParser;
use clap_complete::Shell;

/// The script that the shell reads. In it, and only in it, an argument that takes a scenario's name knows all names: on the
/// command line it takes files as well.
pub(super) fn script(command: Command, shell: Shell) -> String {
    let names = || PossibleValuesParser::new(BUILT_IN.iter().map(|built_in| built_in.name));
    let mut command = command
        .mut_subcommand("run", |run| run.mut_arg("scenario", |arg| arg.value_parser(names())))
        .mut_subcommand("check", |check| check.mut_arg("what", |arg| arg.value_parser(names())));
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut command, "sigpool", &mut script);
    let script = String::from_utf8(script).expect("invariant: clap_complete writes text");
    with_files(script, shell)
}

/// zsh would offer the names alone, fish nothing but files: both get names and files.
fn with_files(script: String, shell: Shell) -> String {
    let names: Vec<_> = BUILT_IN.iter().map(|built_in| built_in.name).collect();
    match shell {
        Shell::Zsh => {
            let list = format!("({})", names.join(" "));
            let both = format!("{{_alternative \"names:scenario:{list}\" \"files:file:_files\"}}");
            script.replace(&format!(":{list}'"), &format!(":{both}'"))
        }
        Shell::Fish => {
            let names = names.join(" ");
            let line = |command| {
                format!("complete -c sigpool -n \"__fish_sigpool_using_subcommand {command}\" -a \"{names}\"\n")
            };
            script + &line("run") + &line("check")
        }
        Shell::Bash | Shell::Elvish | Shell::PowerShell | _ => script,
    }
}
