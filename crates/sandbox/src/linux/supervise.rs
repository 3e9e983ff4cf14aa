//! The gateway's task beside one launcher: passes orders on, learns of the end, and makes sure of it.

use std::path::PathBuf;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::Instant;

use super::orphans;
use super::wire::{self, Failure, Report};
use crate::ExitStatus;
use crate::child::Order;

/// How much longer than the grace period a launcher may take before it is taken for stopped or hung.
const PATIENCE: Duration = Duration::from_secs(5);

pub(super) struct Supervisor {
    pub(super) control: UnixStream,
    pub(super) launcher: tokio::process::Child,
    pub(super) orders: mpsc::UnboundedReceiver<Order>,
    pub(super) started: Option<oneshot::Sender<Result<(i32, PathBuf), Failure>>>,
    pub(super) status: watch::Sender<Option<ExitStatus>>,
    pub(super) grace: Duration,
}

/// What has been learnt so far.
#[derive(Default)]
struct Seen {
    server: Option<i32>,
    exited: Option<ExitStatus>,
    /// When to stop believing in the launcher.
    until: Option<Instant>,
    gone: bool,
}

impl Supervisor {
    pub(super) async fn run(mut self, plan: Vec<u8>) {
        let mut seen = Seen::default();
        // A launcher that died meanwhile is noticed by the next read.
        self.control.write_all(&plan).await.ok();
        drop(plan);
        self.follow(&mut seen).await;
        if seen.gone {
            self.finish(&seen);
            self.launcher.wait().await.ok();
        } else {
            // Its children become ours, or init's, only once it is dead. It may also be merely stopped.
            self.launcher.start_kill().ok();
            self.launcher.wait().await.ok();
            orphans::sweep(seen.server).await;
            self.finish(&seen);
        }
    }

    /// Relays until the launcher reports the end of the tree, or is lost.
    async fn follow(&mut self, seen: &mut Seen) {
        let mut inbox = Vec::new();
        let mut open = true;
        while !seen.gone {
            let until = seen.until;
            let overdue = async { tokio::time::sleep_until(until.unwrap_or_else(Instant::now)).await };
            tokio::select! {
                read = self.control.read_buf(&mut inbox) => {
                    if !read.is_ok_and(|read| read > 0) {
                        return;
                    }
                    while let Some(report) = Report::take(&mut inbox) {
                        self.note(report, seen);
                    }
                }
                order = self.orders.recv(), if open => {
                    open = order.is_some();
                    self.pass_on(order, seen).await;
                }
                () = overdue, if until.is_some() => return,
            }
        }
    }

    fn note(&mut self, report: Report, seen: &mut Seen) {
        match report {
            Report::Started { pid, program } => {
                seen.server = Some(pid);
                self.answer(Ok((pid, program)));
            }
            Report::Failed(failure) => {
                // No server, so no tree.
                seen.gone = true;
                self.answer(Err(failure));
            }
            // Of a sandbox there may be a second one, which says why it was ended.
            Report::Exited(status) => {
                seen.exited = Some(status);
                self.expect_end(seen);
            }
            Report::Gone => seen.gone = true,
        }
    }

    async fn pass_on(&mut self, order: Option<Order>, seen: &mut Seen) {
        let byte = match order {
            Some(Order::Signal(signal)) => wire::encode_order(Some(signal.system())),
            Some(Order::End) => wire::encode_order(None),
            None => {
                // The handle was dropped: hang up, which ends the tree, but still listen.
                self.expect_end(seen);
                self.control.shutdown().await.ok();
                return;
            }
        };
        if order == Some(Order::End) {
            self.expect_end(seen);
        }
        self.control.write_all(&[byte]).await.ok();
    }

    fn expect_end(&self, seen: &mut Seen) {
        if seen.until.is_none() {
            seen.until = Instant::now().checked_add(self.grace.saturating_add(PATIENCE));
        }
    }

    fn answer(&mut self, answer: Result<(i32, PathBuf), Failure>) {
        if let Some(started) = self.started.take() {
            // If nobody waits any more the handle is gone too, which ends the tree.
            started.send(answer).ok();
        }
    }

    fn finish(&mut self, seen: &Seen) {
        self.answer(Err(Failure::Silent));
        // A server whose launcher died before it could report was killed along with it.
        let killed = ExitStatus::Signal(rustix::process::Signal::KILL.as_raw());
        self.status.send_replace(Some(seen.exited.unwrap_or(killed)));
    }
}
