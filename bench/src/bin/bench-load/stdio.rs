//! A client's half of the stdio transport, with the server as its child process.

use std::ffi::OsString;
use std::process;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use bytes::Bytes;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

/// A server process and the two pipes to it.
pub(crate) struct Stdio {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Stdio {
    pub(crate) fn spawn(command: &[OsString]) -> Result<Self> {
        let (program, arguments) = command.split_first().context("no command")?;
        let mut command = Command::new(program);
        command.args(arguments).stdin(process::Stdio::piped()).stdout(process::Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().with_context(|| program.to_string_lossy().into_owned())?;
        let input = child.stdin.take().context("no standard input")?;
        let output = child.stdout.take().context("no standard output")?;
        Ok(Stdio { child, input, output: BufReader::with_capacity(1 << 16, output) })
    }

    pub(crate) fn pid(&self) -> Option<u32> {
        self.child.id()
    }

    pub(crate) async fn send(&mut self, body: &Bytes) -> Result<()> {
        write(&mut self.input, body).await
    }

    /// Sends a message and returns the next line. Both at once: a server may answer before it has read it all.
    pub(crate) async fn exchange(&mut self, body: &Bytes) -> Result<Bytes> {
        let ((), line) = tokio::try_join!(write(&mut self.input, body), read(&mut self.output))?;
        Ok(line)
    }

    pub(crate) async fn next(&mut self) -> Result<Bytes> {
        read(&mut self.output).await
    }

    /// Closes the pipes, which ends a server, and insists after a while.
    pub(crate) async fn close(mut self) {
        drop((self.input, self.output));
        if tokio::time::timeout(Duration::from_secs(5), self.child.wait()).await.is_err() {
            let _ = self.child.kill().await;
        }
    }
}

async fn write(input: &mut ChildStdin, body: &Bytes) -> Result<()> {
    // In one piece, as a client that serialises into a buffer does.
    let line = [body, &b"\n"[..]].concat();
    input.write_all(&line).await.context("standard input")
}

async fn read(output: &mut BufReader<ChildStdout>) -> Result<Bytes> {
    let mut line = Vec::new();
    if output.read_until(b'\n', &mut line).await.context("standard output")? == 0 {
        bail!("the server ended");
    }
    Ok(line.into())
}
