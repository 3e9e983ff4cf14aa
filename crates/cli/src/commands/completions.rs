//! `bartizan completions`: what a shell needs to complete commands and options.

use clap::{Args, Command, CommandFactory};
use clap_complete::Shell;

use crate::outcome::{Failure, Outcome};
use crate::{Program, output};

/// Prints the completions for a shell
#[derive(Args)]
pub(crate) struct Arguments {
    /// The shell
    shell: Shell,
}

/// The program without what is not for people: the scripts would offer it.
fn visible(program: &Command) -> Command {
    let shown = program.get_subcommands().filter(|command| !command.is_hide_set()).cloned();
    Command::new("bartizan").version(env!("CARGO_PKG_VERSION")).subcommands(shown)
}

impl Arguments {
    pub(crate) fn run(self) -> Result<Outcome, Failure> {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut visible(&Program::command()), "bartizan", &mut script);
        output::print(String::from_utf8_lossy(&script).trim_end()).map(|()| Outcome::Clean)
    }
}
