//! What can be asked for on the command line.

use std::ffi::OsString;
use std::time::Duration;

use bartizan_bench::{Era, SESSION_VERSION, STATELESS_VERSION};
use clap::{Args, Parser, Subcommand, ValueEnum};

#[derive(Parser)]
#[command(name = "bench-load", about = "A closed-loop load of MCP tool calls; reports one JSON line")]
pub(crate) struct Options {
    #[command(subcommand)]
    pub(crate) verb: Verb,
}

#[derive(Subcommand)]
pub(crate) enum Verb {
    /// Load a Streamable HTTP server
    Run {
        #[command(flatten)]
        http: Http,
        #[command(flatten)]
        call: Call,
        #[command(flatten)]
        load: Load,
    },
    /// Load a stdio server, one process per connection
    Stdio {
        #[command(flatten)]
        call: Call,
        #[command(flatten)]
        load: Load,
        /// Command that speaks MCP on its standard input and output
        #[arg(last = true, required = true)]
        command: Vec<OsString>,
    },
    /// Start a command and time it to its first good answer over Streamable HTTP
    Start {
        #[command(flatten)]
        http: Http,
        #[command(flatten)]
        call: Call,
        #[command(flatten)]
        start: Startup,
    },
}

#[derive(Args)]
pub(crate) struct Http {
    /// http://HOST:PORT/PATH
    #[arg(long)]
    pub(crate) url: String,
    /// Sent with every request; repeatable
    #[arg(long = "header", value_name = "NAME: VALUE")]
    pub(crate) headers: Vec<String>,
}

#[derive(Args)]
pub(crate) struct Call {
    /// Protocol revision; 2026-07-28 has no sessions
    #[arg(long, default_value = SESSION_VERSION)]
    pub(crate) protocol: String,
    /// Tool to call
    #[arg(long, default_value = "echo")]
    pub(crate) tool: String,
    /// Bytes of text
    #[arg(long, default_value_t = 1024)]
    pub(crate) payload: usize,
    /// Whether the text is sent and comes back, or only comes back (use `--tool blob`)
    #[arg(long, value_enum, default_value_t = Direction::Both)]
    pub(crate) direction: Direction,
    /// Sends another text with each call, in which no few words follow each other as before
    #[arg(long)]
    pub(crate) fresh: bool,
    /// Seconds after which a call is an error
    #[arg(long, value_parser = seconds, default_value = "20")]
    pub(crate) timeout: Duration,
}

impl Call {
    pub(crate) fn era(&self) -> Era {
        if self.protocol == STATELESS_VERSION { Era::Stateless } else { Era::Session }
    }
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Direction {
    Both,
    Down,
}

#[derive(Args)]
pub(crate) struct Load {
    /// Concurrent connections, one call in flight each
    #[arg(long, default_value_t = 1)]
    pub(crate) connections: usize,
    /// Measured seconds
    #[arg(long, value_parser = seconds, default_value = "5")]
    pub(crate) seconds: Duration,
    /// Seconds before them that are not counted
    #[arg(long, value_parser = seconds, default_value = "1")]
    pub(crate) warmup: Duration,
    /// Report CPU and memory of a process and everything below it; repeatable
    #[arg(long, value_name = "NAME=PID", value_parser = watched)]
    pub(crate) watch: Vec<(String, u32)>,
}

#[derive(Args)]
pub(crate) struct Startup {
    /// Seconds after the first answer before memory is read
    #[arg(long, value_parser = seconds, default_value = "1")]
    pub(crate) settle: Duration,
    /// Seconds after which to give up
    #[arg(long, value_parser = seconds, default_value = "30")]
    pub(crate) give_up: Duration,
    /// Command to start
    #[arg(last = true, required = true)]
    pub(crate) command: Vec<OsString>,
}

fn seconds(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text.parse().map_err(|error| format!("{error}"))?;
    Duration::try_from_secs_f64(seconds).map_err(|error| error.to_string())
}

fn watched(text: &str) -> Result<(String, u32), String> {
    let (name, pid) = text.split_once('=').ok_or("expected NAME=PID")?;
    Ok((name.to_owned(), pid.parse().map_err(|error| format!("{pid:?}: {error}"))?))
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Options::command().debug_assert();
    }

    #[test]
    fn values() {
        assert_eq!(seconds("0.5"), Ok(Duration::from_millis(500)));
        assert!(seconds("-1").is_err() && seconds("x").is_err() && seconds("1e300").is_err());
        assert_eq!(watched("gateway=12"), Ok(("gateway".to_owned(), 12)));
        assert!(watched("gateway").is_err() && watched("gateway=x").is_err());
    }
}
