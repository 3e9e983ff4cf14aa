//! In the place of `notices.rs` without the feature `watch`.

use std::path::Path;

use tokio::sync::mpsc;

pub(super) fn of(_file: &Path, _changes: mpsc::Sender<()>) -> Result<(), &'static str> {
    Err("this bartizan is built without the feature `watch`")
}
