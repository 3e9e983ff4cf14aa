//! Puts a changed configuration in force: whole, or not at all.
//!
//! A file that does not check leaves everything as it was, and readiness says *degraded* until a good one follows.
//! What needs new sockets or a new log (`listen`, `admin`, `audit`, `lock`) waits for a restart, and is said so.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bartizan_config::Config;
use notify::{RecursiveMode, Watcher};
use serde_json::json;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

use crate::edge::Front;
use crate::gateway::Gateway;
use crate::serve::directory_of;
use crate::setup;

/// Editors write in several steps; the last of them counts.
const SETTLE: Duration = Duration::from_millis(200);

/// Reloads `file` whenever it changes or a SIGHUP comes. What happens from this call on is noticed; the future acts on it.
pub(crate) fn watch(
    file: PathBuf,
    workspace: PathBuf,
    gateway: Arc<Gateway>,
    front: Arc<Front>,
    started: Config,
) -> impl Future<Output = ()> {
    let (sender, mut changes) = mpsc::channel(1);
    // The directory, not the file: editors and configuration managers put a new file in its place.
    let name = file.file_name().map(ToOwned::to_owned);
    let notice = move |event: notify::Result<notify::Event>| {
        let ours = |event: &notify::Event| event.paths.iter().any(|path| path.file_name() == name.as_deref());
        if event.as_ref().is_ok_and(ours) {
            sender.try_send(()).ok();
        }
    };
    let watcher = notify::recommended_watcher(notice).and_then(|mut watcher| {
        watcher.watch(&directory_of(&file), RecursiveMode::NonRecursive)?;
        Ok(watcher)
    });
    if let Err(error) = &watcher {
        tracing::warn!(%error, "the configuration file cannot be watched; send SIGHUP to reload it");
    }
    let hangup = signal(SignalKind::hangup());
    let mut last = std::fs::read(&file).ok();
    async move {
        let _watcher = watcher;
        let Ok(mut hangup) = hangup else { return };
        loop {
            let forced = tokio::select! {
                Some(()) = changes.recv() => false,
                Some(()) = hangup.recv() => true,
                else => return,
            };
            tokio::time::sleep(SETTLE).await;
            while changes.try_recv().is_ok() {}
            let now = std::fs::read(&file).ok();
            if forced || now != last {
                last = now;
                apply(&file, &workspace, &gateway, &front, &started);
            }
        }
    }
}

/// The tables that have changed and cannot be put in force while the gateway runs.
fn needs_restart(started: &Config, now: &Config) -> Vec<&'static str> {
    let changed = [
        ("listen", started.listen != now.listen),
        ("admin", started.admin != now.admin),
        ("audit", started.audit != now.audit),
        ("lock", started.lock != now.lock),
        ("log", started.log != now.log),
    ];
    changed.into_iter().filter(|(_, changed)| *changed).map(|(table, _)| table).collect()
}

fn apply(file: &Path, workspace: &Path, gateway: &Gateway, front: &Front, started: &Config) {
    let outcome = Config::load(file).map_err(|problems| problems.to_string()).and_then(|(config, warnings)| {
        for warning in warnings {
            tracing::warn!("{warning}");
        }
        for table in needs_restart(started, &config) {
            tracing::warn!("a change of `{table}` takes effect when bartizan is started again");
        }
        let mut policy = setup::policy(&config).map_err(|error| error.to_string())?;
        policy.limiter = policy.limiter.following(&gateway.policy.load().limiter);
        let servers = setup::servers(&config, gateway, workspace).map_err(|error| error.to_string())?;
        Ok((policy, servers))
    });
    let (kind, fields) = match outcome {
        Ok((policy, servers)) => {
            let names: Vec<_> = servers.keys().cloned().collect();
            gateway.policy.store(Arc::new(policy));
            front.replace_servers(servers);
            front.set_degraded(None);
            tracing::info!("the new configuration is in force");
            ("config.reloaded", json!({"servers": names}))
        }
        Err(why) => {
            tracing::error!("the new configuration is refused and the old one stays in force:\n{why}");
            front.set_degraded(Some("the configuration file has errors; the one before is in force".to_owned()));
            ("config.refused", json!({}))
        }
    };
    if let Err(error) = gateway.recorder.note(kind, &fields) {
        tracing::error!(%error, "the audit log cannot be written");
    }
}
