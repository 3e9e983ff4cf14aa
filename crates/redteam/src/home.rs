//! The directory of a trial, which goes away with it.

use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

/// A directory for the state of a trial. It is removed when this is dropped, which is best done once nothing runs any more that
/// belongs to the trial.
#[derive(Debug)]
pub struct Home(PathBuf);

/// What still writes when a trial is broken off has so many times such a while to end: a write to the store or the log.
const TRIES: (u32, Duration) = (50, Duration::from_millis(20));

impl Home {
    /// Makes one where temporary files are, for this user alone.
    ///
    /// # Errors
    /// If it cannot be made.
    pub fn make() -> io::Result<Home> {
        let private = std::fs::Permissions::from_mode(0o700);
        let made = tempfile::Builder::new().prefix("bartizan-redteam-").permissions(private).tempdir()?;
        Ok(Home(made.keep()))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        for _ in 0..TRIES.0 {
            match std::fs::remove_dir_all(&self.0) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => thread::sleep(TRIES.1),
                _ => return,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_goes_away_also_under_the_hands_of_who_still_writes() {
        let home = Home::make().unwrap();
        let path = home.path().to_owned();
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o700);
        let (begun, begins) = std::sync::mpsc::channel();
        let writing = path.clone();
        let writer = thread::spawn(move || {
            for count in 0..2_000 {
                // Not once it is gone: that makes no directory.
                std::fs::write(writing.join(format!("{count}")), "x").ok();
                begun.send(()).ok();
            }
        });
        begins.recv().unwrap();
        drop(home);
        writer.join().unwrap();
        assert!(!path.exists());
    }
}
