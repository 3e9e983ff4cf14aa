//! The subcommands: one file each, one line in the list below.

mod audit;
mod completions;
mod config;
mod daemon;
mod demo;
mod demo_server;
mod guards;
mod lock;
mod log;
mod man;
mod run;
mod schema;
mod serve;
mod why;

use crate::outcome::{Failure, Outcome};

/// Declares the subcommands in one place: each is a type with the arguments, and how to run it.
macro_rules! commands {
    ($($(#[$attribute:meta])* $name:ident($arguments:ty)),+ $(,)?) => {
        #[derive(clap::Subcommand)]
        pub(crate) enum Command {
            $($(#[$attribute])* $name($arguments)),+
        }

        impl Command {
            pub(crate) fn run(self) -> Result<Outcome, Failure> {
                match self {
                    $(Command::$name(arguments) => arguments.run()),+
                }
            }
        }
    };
}

commands! {
    Run(run::Arguments),
    Serve(serve::Arguments),
    Demo(demo::Arguments),
    #[command(hide = true)]
    DemoServer(demo_server::Arguments),
    Daemon(daemon::Arguments),
    Why(why::Arguments),
    Guards(guards::Arguments),
    Audit(audit::Arguments),
    Lock(lock::Arguments),
    Config(config::Arguments),
    Schema(schema::Arguments),
    Completions(completions::Arguments),
    Man(man::Arguments),
}
