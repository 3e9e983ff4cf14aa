//! `bartizan man`: the manual pages.

use std::path::{Path, PathBuf};

use clap::{Args, Command, CommandFactory};
use clap_mangen::Man;

use crate::outcome::{Failure, Outcome};
use crate::{Program, output};

/// Prints the manual page, or writes one for each command into a directory
#[derive(Args)]
pub(crate) struct Arguments {
    /// Where to write them, as `bartizan.1`, `bartizan-run.1` and so on
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

impl Arguments {
    pub(crate) fn run(self) -> Result<Outcome, Failure> {
        let mut program = Program::command().disable_help_subcommand(true);
        program.build();
        match self.out {
            None => output::print(page(program)?.trim_end())?,
            Some(directory) => write(&directory, program)?,
        }
        Ok(Outcome::Clean)
    }
}

fn write(directory: &Path, command: Command) -> Result<(), Failure> {
    let failed = |error| Failure::incomplete(format!("cannot write to {}: {error}", directory.display()));
    std::fs::create_dir_all(directory).map_err(failed)?;
    let mut waiting = vec![command];
    while let Some(command) = waiting.pop() {
        waiting.extend(command.get_subcommands().filter(|command| !command.is_hide_set()).cloned());
        let name = command.get_display_name().unwrap_or_else(|| command.get_name()).to_owned();
        std::fs::write(directory.join(format!("{name}.1")), page(command)?).map_err(failed)?;
    }
    Ok(())
}

fn page(command: Command) -> Result<String, Failure> {
    let mut roff = Vec::new();
    Man::new(command).render(&mut roff).map_err(Failure::ours)?;
    Ok(String::from_utf8_lossy(&roff).into_owned())
}
