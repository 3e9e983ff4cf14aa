//! `bartizan serve`: the gateway for many servers and clients over HTTP.

use std::path::PathBuf;

use bartizan_gateway::serve;
use clap::Args;
use tokio::signal::unix::{SignalKind, signal};

use crate::common;
use crate::outcome::{Failure, Outcome, say};

/// Serve the configured servers over Streamable HTTP.
#[derive(Args)]
pub(crate) struct Arguments {
    /// The configuration file
    #[arg(long, value_name = "FILE", default_value = "bartizan.toml")]
    config: PathBuf,
}

impl Arguments {
    pub(crate) fn run(self) -> Result<Outcome, Failure> {
        let config = common::load(&self.config)?;
        common::log_as(&config.log);
        common::block_on(async {
            let running = serve::start(&config, Some(self.config)).await.map_err(Failure::ours)?;
            say(&format!("bartizan serves MCP at http://{}/mcp", running.address));
            if let Some(admin) = running.admin {
                say(&format!("health and metrics at http://{admin}/readyz and /metrics"));
            }
            asked_to_stop().await.map_err(Failure::ours)?;
            running.stop().await;
            Ok::<_, Failure>(Outcome::Clean)
        })
    }
}

/// Waits for SIGTERM or SIGINT.
pub(crate) async fn asked_to_stop() -> std::io::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    Ok(())
}
