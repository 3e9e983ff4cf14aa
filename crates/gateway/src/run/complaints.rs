//! Lines for standard error that never keep messages waiting, also when nobody reads them.

use std::io::Write as _;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Duration;

/// Lines that wait to be read; further ones are lost, as a client that reads none must not stop its server.
const WAITING: usize = 1024;
/// How long the last lines may take to be read.
const FAREWELL: Duration = Duration::from_secs(1);

/// The way to standard error, through a thread of its own.
pub(super) struct Complaints {
    lines: SyncSender<String>,
    done: Receiver<()>,
}

impl Complaints {
    /// Starts to write.
    pub(super) fn to_stderr() -> Complaints {
        Complaints::through(|line| writeln!(std::io::stderr(), "{line}"))
    }

    fn through(mut write: impl FnMut(&str) -> std::io::Result<()> + Send + 'static) -> Complaints {
        let (lines, waiting) = sync_channel::<String>(WAITING);
        let (finished, done) = sync_channel(1);
        std::thread::spawn(move || {
            // Whoever has closed standard error does not want to know; the lines are taken all the same.
            waiting.into_iter().for_each(|line| drop(write(&line)));
            finished.send(()).ok();
        });
        Complaints { lines, done }
    }

    /// Writes a line, which is already safe to show.
    pub(super) fn line(&self, line: &str) {
        self.lines.try_send(line.to_owned()).ok();
    }

    /// A way to write lines for somebody else.
    pub(super) fn sink(&self) -> impl Fn(&str) + Send + Sync + 'static {
        let lines = self.lines.clone();
        move |line| drop(lines.try_send(line.to_owned()))
    }

    /// Waits until what was said is written, but not for ever. All sinks have to be gone.
    pub(super) fn finish(self) {
        drop(self.lines);
        self.done.recv_timeout(FAREWELL).ok();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex, mpsc};

    use super::*;

    #[test]
    fn lines_are_written_in_order_and_to_the_last() {
        let written = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&written);
        let complaints = Complaints::through(move |line| {
            kept.lock().unwrap().push(line.to_owned());
            Ok(())
        });
        let sink = complaints.sink();
        for number in 0..500 {
            if number % 2 == 0 { complaints.line(&number.to_string()) } else { sink(&number.to_string()) }
        }
        drop(sink);
        complaints.finish();
        assert_eq!(*written.lock().unwrap(), (0..500).map(|number| number.to_string()).collect::<Vec<_>>());
    }

    #[test]
    fn a_reader_that_does_not_read_keeps_nobody_waiting() {
        let (release, blocked) = mpsc::channel::<()>();
        let (sender, written) = mpsc::channel();
        let complaints = Complaints::through(move |line| {
            blocked.recv().ok();
            sender.send(line.to_owned()).map_err(std::io::Error::other)
        });
        for number in 0..10 * WAITING {
            complaints.line(&number.to_string());
        }
        drop(release);
        complaints.finish();
        let written: Vec<String> = written.iter().collect();
        assert!(written.len() >= WAITING && written.len() <= WAITING + 1, "{}", written.len());
        assert_eq!(written.first().map(String::as_str), Some("0"));
    }
}
