//! Signals that go on to the server.

use bartizan_sandbox::Signal;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

/// The signals that are the server's to handle, as they come.
pub(super) fn signals() -> mpsc::Receiver<Signal> {
    let (sender, receiver) = mpsc::channel(8);
    for (kind, passed) in [
        (SignalKind::interrupt(), Signal::Interrupt),
        (SignalKind::terminate(), Signal::Terminate),
        (SignalKind::hangup(), Signal::Hangup),
        (SignalKind::quit(), Signal::Quit),
        (SignalKind::user_defined1(), Signal::User1),
        (SignalKind::user_defined2(), Signal::User2),
    ] {
        let sender = sender.clone();
        tokio::spawn(async move {
            let Ok(mut incoming) = signal(kind) else { return };
            while incoming.recv().await.is_some() && sender.send(passed).await.is_ok() {}
        });
    }
    receiver
}

/// The one of them that has this number.
pub(super) fn signal_of(number: u8) -> Option<Signal> {
    let all = [Signal::Interrupt, Signal::Terminate, Signal::Hangup, Signal::Quit, Signal::User1, Signal::User2];
    all.into_iter().find(|signal| signal.number() == i32::from(number))
}
