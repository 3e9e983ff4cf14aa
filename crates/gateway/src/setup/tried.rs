//! What would come of each local server if it was started now: all that a start does, but for running the program.

use std::path::{Path, PathBuf};

use bartizan_config::{Command, Config, Upstream as Place};
use bartizan_sandbox::Launch;

use super::{SetupError, confine, install, launch};
use crate::way_out;

/// A local server whose start was tried.
#[derive(Debug)]
pub struct Tried {
    /// What is started, as it would be.
    pub launch: Launch,
    /// Why it would not start; none if it would.
    pub refused: Option<String>,
    /// Whether its packages have to be installed first, of which nothing was tried.
    pub uninstalled: bool,
}

/// The directories, without links, in which a server may have laid something: no program there is anybody's but the server's.
///
/// # Errors
/// If it is not known where servers were ever let write.
pub fn changeable(config: Option<&Config>, workspace: &Path) -> Result<Vec<PathBuf>, SetupError> {
    confine::changes(config, workspace).map_err(SetupError::Given)
}

/// Tries the start of each local server of the configuration, where servers may write to these directories; those that are
/// reached by a URL are left out.
pub async fn try_out(config: &Config, workspace: &Path, writable: &[PathBuf]) -> Vec<(String, Tried)> {
    let mut all = Vec::new();
    for (name, held) in &config.servers {
        let Place::Command(command) = &held.upstream else { continue };
        let mut launch = launch(command, workspace, writable);
        let looked = install::look(name, &command.sandbox, &mut launch);
        let uninstalled = looked == Ok(false);
        let refused = match looked {
            Ok(_) => refused(name, command, config, &mut launch).await,
            Err(why) => Some(why),
        };
        all.push((name.clone(), Tried { launch, refused, uninstalled }));
    }
    all
}

/// Why it would not start; none if it would.
async fn refused(name: &str, command: &Command, config: &Config, launch: &mut Launch) -> Option<String> {
    if let Some((path, within)) = confine::exposed(launch, config) {
        return Some(SetupError::Exposed { server: name.to_owned(), path, within }.to_string());
    }
    match way_out::try_open(name, &command.sandbox, launch) {
        Err(why) => Some(SetupError::Egress { server: name.to_owned(), why }.to_string()),
        // It has to stay for as long as what leads to it is tried.
        Ok(_way_out) => launch.try_out().await.err().map(|error| error.to_string()),
    }
}
