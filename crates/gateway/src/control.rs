//! What the operator asks a gateway that runs, over a socket in the directory of its audit log.
//!
//! One process holds that directory, whether it is `serve`, the user's Bartizan or a standalone bridge, so whoever names the log has named
//! the gateway; what conversations are labelled with is in its memory and nowhere else.
//!
//! **Threat.** Somebody else on the machine has labels taken off. So the other end has to be the user as whom the gateway runs, or root: who
//! may read its store and its log, too. The system says who that is, whatever the modes of directories are.

use std::fs::File;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};

use crate::gateway::Gateway;
pub use crate::labels::{Cleared, Seen, SeenLabel};

/// The name of the socket.
const SOCKET: &str = "control";
/// How long either side waits for the other.
const PATIENCE: Duration = Duration::from_secs(10);
/// No question is longer.
const QUESTION: u64 = 16 * 1024;
/// No answer is longer.
const ANSWER: u64 = 256 << 20;

/// What is asked: one of these, as JSON, and the end of the stream.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "ask", rename_all = "snake_case")]
enum Question {
    /// What conversations there are.
    Sessions,
    /// To have one forget.
    Reset {
        /// As records name it.
        session: String,
    },
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "answer", rename_all = "snake_case")]
enum Answer {
    Sessions { sessions: Vec<Seen> },
    Reset { cleared: Cleared, entry: String },
    Unknown,
    Failed { why: String },
}

/// What became of a reset.
#[derive(Debug)]
pub enum Reset {
    /// It has forgotten, and the entry of the audit log says so.
    Done {
        /// What it has forgotten.
        cleared: Cleared,
        /// The entry.
        entry: String,
    },
    /// There is no such session.
    Unknown,
}

/// Why a gateway was not asked.
#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    /// No gateway holds the log.
    #[error("no gateway that runs has its audit log in {}", .0.display())]
    NotRunning(PathBuf),
    /// Its socket cannot be used.
    #[error("the gateway whose audit log is in {} cannot be asked: {source}", path.display())]
    Unreachable {
        /// The directory of the log.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// Somebody else is at the other end.
    #[error("another user serves the socket in {}", .0.display())]
    NotOurs(PathBuf),
    /// It says something else.
    #[error("the gateway whose audit log is in {} gives an answer that is not understood: is it of another version?", .0.display())]
    Answer(PathBuf),
    /// It could not do it.
    #[error("{0}")]
    Refused(String),
}

/// The socket, for as long as this is held.
pub(crate) struct Control {
    task: tokio::task::JoinHandle<()>,
    path: PathBuf,
}

impl Drop for Control {
    fn drop(&mut self) {
        self.task.abort();
        std::fs::remove_file(&self.path).ok();
    }
}

/// Answers the operator from now on. Without it all else goes on, so that it cannot is only said.
pub(crate) fn serve(gateway: &Arc<Gateway>) -> Option<Control> {
    let directory = gateway.recorder.log().dir().to_owned();
    let path = directory.join(SOCKET);
    // We hold the log, so whoever left it there is gone.
    std::fs::remove_file(&path).ok();
    let listener = Way::to(&directory).and_then(|way| UnixListener::bind(way.path()));
    match listener {
        Ok(listener) => {
            let task = tokio::spawn(accept(listener, Arc::clone(gateway)));
            Some(Control { task, path })
        }
        Err(error) => {
            tracing::warn!(path = %path.display(), %error, "the operator cannot ask about sessions");
            None
        }
    }
}

/// A path to the socket that the system takes: one that is too long goes by the open directory.
struct Way {
    path: PathBuf,
    _directory: Option<File>,
}

impl Way {
    fn to(directory: &Path) -> std::io::Result<Way> {
        let path = directory.join(SOCKET);
        if std::os::unix::net::SocketAddr::from_pathname(&path).is_ok() {
            return Ok(Way { path, _directory: None });
        }
        let open = File::open(directory)?;
        let path = PathBuf::from(format!("/proc/self/fd/{}/{SOCKET}", open.as_raw_fd()));
        Ok(Way { path, _directory: Some(open) })
    }

    fn path(&self) -> &Path {
        &self.path
    }
}

/// One after the other: each is short, and waits for nobody but a disk.
async fn accept(listener: UnixListener, gateway: Arc<Gateway>) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                if let Some(who) = operator(&stream) {
                    tokio::time::timeout(PATIENCE, converse(stream, &who, &gateway)).await.ok();
                }
            }
            Err(error) => {
                tracing::warn!(%error, "a question of the operator could not be accepted");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

/// Who is at the other end, if it is the user as whom this runs, or root.
fn operator(stream: &UnixStream) -> Option<String> {
    let uid = stream.peer_cred().ok()?.uid();
    (uid == 0 || uid == rustix::process::getuid().as_raw()).then(|| format!("uid:{uid}"))
}

async fn converse(mut stream: UnixStream, who: &str, gateway: &Gateway) {
    let mut question = Vec::new();
    if (&mut stream).take(QUESTION).read_to_end(&mut question).await.is_err() {
        return;
    }
    let answer = match serde_json::from_slice(&question) {
        Ok(Question::Sessions) => Answer::Sessions { sessions: gateway.conversations.all() },
        Ok(Question::Reset { session }) => reset(gateway, &session, who).await,
        Err(_) => Answer::Failed { why: "the question is not understood".to_owned() },
    };
    if let Ok(answer) = serde_json::to_vec(&answer) {
        stream.write_all(&answer).await.ok();
        stream.shutdown().await.ok();
    }
}

/// What is not in the log was not done.
async fn reset(gateway: &Gateway, session: &str, who: &str) -> Answer {
    let mut receipt = None;
    let done = gateway.conversations.reset(session, |cleared| {
        let Cleared { session, principal, sessions, labels, results, values } = cleared;
        let fields = json!({
            "session": session, "principal": principal, "by": who, "sessions": sessions, "labels": labels,
            "results": results, "values": values,
        });
        gateway.recorder.note("session.reset", &fields).map(|written| receipt = Some(written))
    });
    match (done, receipt) {
        (None, _) => Answer::Unknown,
        (Some(Ok(cleared)), Some(receipt)) => match gateway.recorder.durable(receipt).await {
            Ok(receipt) => Answer::Reset { cleared, entry: receipt.id().to_string() },
            Err(error) => {
                Answer::Failed { why: format!("it is reset, and the log that says so is not on disk: {error}") }
            }
        },
        (Some(Err(error)), _) => {
            Answer::Failed { why: format!("nothing was reset, as it cannot be recorded: {error}") }
        }
        (Some(Ok(_)), None) => Answer::Failed { why: "it is reset, and was not recorded".to_owned() },
    }
}

/// The sessions of the gateway whose audit log is in that directory.
///
/// # Errors
/// If it does not run, or cannot be asked.
pub async fn sessions(directory: &Path) -> Result<Vec<Seen>, ControlError> {
    match ask(directory, &Question::Sessions).await? {
        Answer::Sessions { sessions } => Ok(sessions),
        Answer::Failed { why } => Err(ControlError::Refused(why)),
        Answer::Reset { .. } | Answer::Unknown => Err(ControlError::Answer(directory.to_owned())),
    }
}

/// Has the client of a session forget its labels and all that it was brought.
///
/// # Errors
/// If the gateway does not run, cannot be asked, or cannot record it.
pub async fn reset_session(directory: &Path, session: &str) -> Result<Reset, ControlError> {
    match ask(directory, &Question::Reset { session: session.to_owned() }).await? {
        Answer::Reset { cleared, entry } => Ok(Reset::Done { cleared, entry }),
        Answer::Unknown => Ok(Reset::Unknown),
        Answer::Failed { why } => Err(ControlError::Refused(why)),
        Answer::Sessions { .. } => Err(ControlError::Answer(directory.to_owned())),
    }
}

async fn ask(directory: &Path, question: &Question) -> Result<Answer, ControlError> {
    use std::io::{Error, ErrorKind};
    let place = || directory.to_owned();
    let failed = |source: Error| match source.kind() {
        ErrorKind::NotFound | ErrorKind::ConnectionRefused => ControlError::NotRunning(place()),
        _ => ControlError::Unreachable { path: place(), source },
    };
    let asking = async {
        let way = Way::to(directory).map_err(failed)?;
        let mut stream = UnixStream::connect(way.path()).await.map_err(failed)?;
        let peer = stream.peer_cred().map_err(failed)?.uid();
        let own = rustix::process::getuid().as_raw();
        // Root asks whoever serves it; anybody else only themselves.
        if peer != own && own != 0 {
            return Err(ControlError::NotOurs(place()));
        }
        let question = serde_json::to_vec(question).map_err(|error| failed(error.into()))?;
        stream.write_all(&question).await.map_err(failed)?;
        stream.shutdown().await.map_err(failed)?;
        let mut answer = Vec::new();
        stream.take(ANSWER).read_to_end(&mut answer).await.map_err(failed)?;
        serde_json::from_slice(&answer).map_err(|_| ControlError::Answer(place()))
    };
    let late = |_| failed(Error::from(ErrorKind::TimedOut));
    tokio::time::timeout(PATIENCE, asking).await.map_err(late)?
}
