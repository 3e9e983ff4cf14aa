//! Notices that a file has changed.

use std::path::Path;

use notify::{RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::mpsc;

use crate::files::directory_of;

/// Sends on `changes` whenever something happens to the file, for as long as the watcher is kept.
pub(super) fn of(file: &Path, changes: mpsc::Sender<()>) -> notify::Result<RecommendedWatcher> {
    // The directory, not the file: editors and configuration managers put a new file in its place.
    let name = file.file_name().map(ToOwned::to_owned);
    let mut watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
        let ours = |event: &notify::Event| event.paths.iter().any(|path| path.file_name() == name.as_deref());
        if event.as_ref().is_ok_and(ours) {
            changes.try_send(()).ok();
        }
    })?;
    watcher.watch(&directory_of(file), RecursiveMode::NonRecursive)?;
    Ok(watcher)
}
