//! `bartizan demo-server`: one of the servers that the demo shows. Started by the demo's gateway.

use std::io;

use bartizan_demo::{Role, serve};
use clap::{Args, ValueEnum};

use crate::outcome::{Failure, Outcome};

/// Is one of the demo's servers, over stdio
#[derive(Args)]
pub(crate) struct Arguments {
    /// Which
    #[arg(value_enum)]
    role: Which,
}

#[derive(Clone, Copy, ValueEnum)]
enum Which {
    Honest,
    Hostile,
}

impl Arguments {
    pub(crate) fn run(self) -> Result<Outcome, Failure> {
        let role = match self.role {
            Which::Honest => Role::Honest,
            Which::Hostile => Role::Hostile,
        };
        match serve(role, io::stdin().lock(), io::BufWriter::new(io::stdout().lock())) {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Err(Failure::Closed),
            ended => ended.map(|()| Outcome::Clean).map_err(Failure::ours),
        }
    }
}
