//! `bartizan completions`: what a shell needs to complete commands and options.

use clap::{Args, CommandFactory};
use clap_complete::Shell;

use crate::outcome::{Failure, Outcome};
use crate::{Program, output};

/// Prints the completions for a shell
#[derive(Args)]
pub(crate) struct Arguments {
    /// The shell
    shell: Shell,
}

impl Arguments {
    pub(crate) fn run(self) -> Result<Outcome, Failure> {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut Program::command(), "bartizan", &mut script);
        output::print(String::from_utf8_lossy(&script).trim_end()).map(|()| Outcome::Clean)
    }
}
