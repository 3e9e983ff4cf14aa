//! The gateway of the demo: started from a configuration file as `bartizan serve` would, gone with its files at the end.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use bartizan_audit::{Fault, Report};
use bartizan_config::{Config, Diagnostics};
use bartizan_gateway::serve::{self, Running, ServeError, Unconfined};
use bartizan_guard::Mode;
use tempfile::TempDir;
use thiserror::Error;

use crate::client::Client;
use crate::play::{self, Clients};
use crate::{Role, Step};

/// Why the demo could not begin.
#[derive(Debug, Error)]
pub enum StartError {
    /// There is no place for its files.
    #[error("cannot make a directory for the demo: {0}")]
    Directory(#[from] std::io::Error),
    /// Its configuration is not accepted.
    #[error("{0}")]
    Config(#[from] Diagnostics),
    /// The gateway does not start.
    #[error(transparent)]
    Serve(#[from] ServeError),
}

/// A gateway with an honest and a hostile server behind it.
pub struct Demo {
    running: Running,
    home: TempDir,
}

impl Demo {
    /// Starts the gateway; `program` is this program, which is started again as each of the servers. It listens where
    /// it is told, else where `bartizan serve` would if nobody else does. In the mode `observe` it stops only what cannot
    /// be read safely, so that most of what the hostile server tries succeeds. Where servers cannot be confined, `confined`
    /// is false, and they run as the user.
    ///
    /// # Errors
    /// If its files cannot be made or the gateway cannot be started.
    pub async fn start(
        program: &Path,
        listen: Option<SocketAddr>,
        mode: Mode,
        confined: bool,
    ) -> Result<Demo, StartError> {
        let how = How { program, mode, confined };
        let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let usual = |port| Some(SocketAddr::from((Ipv4Addr::LOCALHOST, port))).filter(|address| is_free(*address));
        if listen.is_none()
            && let Some((listen, admin)) = usual(8484).zip(usual(8485))
        {
            match Demo::start_at(&how, listen, admin).await {
                // Somebody was faster.
                Err(StartError::Serve(ServeError::Listen { .. })) => {}
                other => return other,
            }
        }
        Demo::start_at(&how, listen.unwrap_or(any), any).await
    }

    async fn start_at(how: &How<'_>, listen: SocketAddr, admin: SocketAddr) -> Result<Demo, StartError> {
        let private = std::fs::Permissions::from_mode(0o700);
        let home = tempfile::Builder::new().prefix("bartizan-demo-").permissions(private).tempdir()?;
        let text = configuration(how, listen, admin);
        let file = home.path().join(CONFIG);
        std::fs::write(&file, &text)?;
        let (config, _) = Config::load(&file)?;
        let unconfined = if how.confined { Unconfined::Named(Vec::new()) } else { Unconfined::All };
        let running = serve::start_with(&config, None, unconfined).await?;
        Ok(Demo { running, home })
    }

    /// Where clients connect.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.running.address
    }

    /// The URL for both servers together.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}/mcp", self.address())
    }

    /// The configuration file.
    #[must_use]
    pub fn config(&self) -> PathBuf {
        self.home.path().join(CONFIG)
    }

    /// The directory of the audit log.
    #[must_use]
    pub fn audit(&self) -> PathBuf {
        self.home.path().join("audit")
    }

    /// Tries everything, one step after the other; `on_step` is told of each.
    ///
    /// # Errors
    /// If a client cannot even connect.
    pub async fn play(&self, on_step: impl FnMut(Step)) -> Result<(), PlayError> {
        let connect = async |path: &str| {
            let url = format!("http://{}{path}", self.address());
            Client::connect(url).await.map_err(|error| PlayError(error.to_string()))
        };
        let [honest, hostile] = [Role::Honest, Role::Hostile].map(|role| format!("/mcp/{}", role.name()));
        let (honest, hostile) = (connect(&honest).await?, connect(&hostile).await?);
        let clients = Clients { honest, hostile, both: connect("/mcp").await? };
        play::play(clients, &self.audit(), on_step).await;
        Ok(())
    }

    /// Proves the audit log as it stands.
    ///
    /// # Errors
    /// If it is not whole.
    pub fn verify(&self) -> Result<Report, Fault> {
        bartizan_audit::verify(&self.audit(), None)
    }

    /// Ends the gateway and its servers, and removes its files.
    pub async fn stop(self) {
        self.running.stop().await;
        // What cannot be removed from a temporary directory is nothing to fail for.
        self.home.close().ok();
    }
}

/// A client could not connect.
#[derive(Debug, Error)]
#[error("cannot connect to the gateway: {0}")]
pub struct PlayError(String);

const CONFIG: &str = "bartizan.toml";

/// How the demo is to be.
struct How<'a> {
    program: &'a Path,
    mode: Mode,
    confined: bool,
}

fn configuration(how: &How<'_>, listen: SocketAddr, admin: SocketAddr) -> String {
    let program = quoted(&how.program.to_string_lossy());
    let mode = match how.mode {
        Mode::Enforce => "enforce",
        Mode::Observe => "observe",
    };
    let mut text = format!(
        "mode = \"{mode}\"\n\n[listen]\naddress = \"{listen}\"\n\n[admin]\naddress = \"{admin}\"\n\n[audit]\ndirectory = \"audit\"\nencrypt = false\nquotes = true\n"
    );
    if !how.confined {
        text.push_str("\n[sandbox]\ndefault = \"none\"\n");
    }
    for role in [Role::Honest, Role::Hostile] {
        let name = role.name();
        text.push_str(&format!("\n[server.{name}]\ncommand = [{program}, \"demo-server\", \"{name}\"]\n"));
    }
    text
}

/// As a string of TOML in which nothing stands for a variable.
fn quoted(text: &str) -> String {
    toml::Value::String(text.replace("${", "$${")).to_string()
}

fn is_free(address: SocketAddr) -> bool {
    TcpListener::bind(address).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_configuration_names_the_program_wherever_it_is() {
        let at = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        for program in ["/usr/bin/bartizan", "/a b/${HOME}/\"x\"\\y", "/é/\n/'"] {
            let environment = bartizan_config::Environment::of_process(Path::new("/nowhere"));
            let text = configuration(&How { program: Path::new(program), mode: Mode::Enforce, confined: true }, at, at);
            let (config, warnings) = Config::parse(&text, "demo", &environment).unwrap();
            let not_here = |warning: &bartizan_config::Diagnostic| warning.message.starts_with("there is no program");
            assert!(warnings.iter().all(not_here), "{warnings:?}");
            for server in config.servers.values() {
                let bartizan_config::Upstream::Command(command) = &server.upstream else { panic!() };
                assert_eq!(command.program, program);
            }
        }
    }
}
