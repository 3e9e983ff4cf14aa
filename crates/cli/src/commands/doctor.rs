//! `bartizan doctor`: what this host offers for confining servers, and what each configured one would get.

mod host;
mod server;

use std::path::{Path, PathBuf};

use bartizan_config::Config;
use bartizan_gateway::setup::changeable;
use clap::Args;
use schemars::JsonSchema;
use serde::Serialize;

use self::host::HostReport;
use self::server::ServerReport;
use crate::common;
use crate::outcome::{Failure, Outcome, say};
use crate::output::{self, Paint};

/// Says what this host offers for confining servers, and tries whether each configured server would start
#[derive(Args)]
pub(crate) struct Arguments {
    /// The configuration file [default: bartizan.toml, if there is one]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Prints JSON
    #[arg(long)]
    json: bool,
}

/// What `doctor --json` prints.
#[derive(Serialize, JsonSchema)]
pub(super) struct Examined {
    #[schemars(extend("const" = Examined::FORMAT))]
    format: &'static str,
    /// Whether every configured server would start as configured.
    ok: bool,
    /// What this host offers.
    host: HostReport,
    /// Each configured server, by name.
    servers: Vec<ServerReport>,
}

impl Examined {
    pub(super) const FORMAT: &str = "bartizan.doctor/1";
}

impl Arguments {
    pub(crate) fn run(self) -> Result<Outcome, Failure> {
        let usual = Path::new("bartizan.toml");
        let file = self.config.or_else(|| usual.is_file().then(|| usual.to_owned()));
        let config = file.as_deref().map(common::load).transpose()?;
        let examined = common::block_on(examine(config.as_ref()))?;
        if self.json {
            output::print_json(&examined)?;
        } else {
            let paint = Paint::for_stdout();
            let mut text = examined.host.text(paint);
            examined.servers.iter().for_each(|server| text.push_str(&server.text(paint)));
            output::print(text.trim_end())?;
        }
        if file.is_none() {
            say(
                "note: there is no bartizan.toml here, so only the host was looked at; --config FILE names a configuration",
            );
        }
        Ok(if examined.ok { Outcome::Clean } else { Outcome::Found })
    }
}

async fn examine(config: Option<&Config>) -> Result<Examined, Failure> {
    let workspace = std::env::current_dir().map_err(Failure::ours)?;
    let changeable = changeable(config, &workspace).map_err(Failure::ours)?;
    let probed = bartizan_sandbox::probe(Some(changeable.clone())).await;
    let host =
        probed.map_err(|error| Failure::ours(format!("no process can be started to try this host in: {error}")))?;
    let servers = match config {
        Some(config) => server::all(config, &host, (&workspace, &changeable)).await,
        None => Vec::new(),
    };
    let ok = host.confines() && servers.iter().all(ServerReport::starts);
    Ok(Examined { format: Examined::FORMAT, ok, host: HostReport::of(&host), servers })
}
