//! The subcommands: one file each, one line in the list below.

mod approve;
mod audit;
#[cfg(feature = "docs")]
mod completions;
mod config;
mod daemon;
#[cfg(feature = "demo")]
mod demo;
#[cfg(feature = "demo")]
mod demo_server;
mod doctor;
mod grant;
mod guards;
mod init;
mod inspect;
mod key;
mod lock;
mod log;
#[cfg(feature = "docs")]
mod man;
mod policy;
#[cfg(feature = "redteam")]
mod redteam;
mod run;
mod sandbox;
mod schema;
mod secret;
mod serve;
mod session;
mod subject;
mod upstream;
mod user;
mod why;

pub(crate) use run::turn_away;

use crate::outcome::{Failure, Outcome};

/// Declares the subcommands in one place: each is a type with the arguments, and how to run it.
macro_rules! commands {
    ($($(#[cfg($present:meta)])? $(#[command($($shown:tt)*)])? $name:ident($arguments:ty)),+ $(,)?) => {
        #[derive(clap::Subcommand)]
        pub(crate) enum Command {
            $($(#[cfg($present)])? $(#[command($($shown)*)])? $name($arguments)),+
        }

        impl Command {
            pub(crate) fn run(self) -> Result<Outcome, Failure> {
                match self {
                    $($(#[cfg($present)])? Command::$name(arguments) => arguments.run()),+
                }
            }
        }
    };
}

commands! {
    Run(run::Arguments),
    Serve(serve::Arguments),
    #[cfg(feature = "demo")]
    Demo(demo::Arguments),
    #[cfg(feature = "demo")]
    #[command(hide = true)]
    DemoServer(demo_server::Arguments),
    Daemon(daemon::Arguments),
    Approve(approve::Arguments),
    Deny(approve::DenyArguments),
    Why(why::Arguments),
    Guards(guards::Arguments),
    Init(init::Arguments),
    Inspect(inspect::Arguments),
    Audit(audit::Arguments),
    Lock(lock::Arguments),
    Key(key::Arguments),
    User(user::Arguments),
    Grant(grant::Arguments),
    Session(session::Arguments),
    Sandbox(sandbox::Arguments),
    Subject(subject::Arguments),
    Secret(secret::Arguments),
    Upstream(upstream::Arguments),
    Policy(policy::Arguments),
    #[cfg(feature = "redteam")]
    Redteam(redteam::Arguments),
    Config(config::Arguments),
    Doctor(doctor::Arguments),
    Schema(schema::Arguments),
    #[cfg(feature = "docs")]
    Completions(completions::Arguments),
    #[cfg(feature = "docs")]
    Man(man::Arguments),
}
