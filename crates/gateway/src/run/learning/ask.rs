//! Asks a server for what it has, as a client would: it is initialised, and lists its tools, prompts and resources.

use std::io;
use std::os::fd::OwnedFd;
use std::time::Duration;

use bartizan_sandbox::{Child, Launch, Watch};
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt as _;
use tokio::net::unix::pipe;

use crate::run::RunError;
use crate::upstream::lines::{Line, Lines};

/// How long the server may take for one answer.
const PATIENCE: Duration = Duration::from_secs(30);
/// The longest line that is read.
const LONGEST: usize = 10 << 20;
/// Pages of one list.
const PAGES: usize = 20;
/// Lines without an answer before one is given up.
const LINES: usize = 1_000;
const REVISION: &str = "2025-06-18";

/// How many of each the server listed; none where it did not answer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Listed {
    /// Whether it could be initialised.
    pub initialised: bool,
    /// Its tools.
    pub tools: Option<usize>,
    /// Its prompts.
    pub prompts: Option<usize>,
    /// Its resources.
    pub resources: Option<usize>,
}

/// Our ends of the server's streams.
pub(super) struct Ends {
    input: pipe::Sender,
    output: Lines<pipe::Receiver>,
}

/// Starts the server with streams that lead here, and with this to complain to.
pub(super) async fn start(launch: &Launch, complaints: OwnedFd, watch: &Watch) -> Result<(Child, Ends), RunError> {
    let failed = |source: io::Error| RunError::Path { path: "a pipe".into(), source };
    let (theirs_in, input) = io::pipe().map_err(failed)?;
    let (output, theirs_out) = io::pipe().map_err(failed)?;
    let input = pipe::Sender::from_owned_fd(input.into()).map_err(failed)?;
    let output = pipe::Receiver::from_owned_fd(output.into()).map_err(failed)?;
    let child = launch.spawn_watched([theirs_in.into(), theirs_out.into(), complaints], watch).await?;
    Ok((child, Ends { input, output: Lines::new(output, LONGEST) }))
}

/// Asks for all of it, and closes the server's input.
pub(super) async fn lists(mut ends: Ends) -> Listed {
    let mut listed = Listed::default();
    let about = json!({"name": "bartizan", "version": env!("CARGO_PKG_VERSION")});
    let params = json!({"protocolVersion": REVISION, "capabilities": {}, "clientInfo": about});
    let Some(_) = ends.ask(1, "initialize", params).await else { return listed };
    listed.initialised = true;
    if ends.say(&json!({"jsonrpc": "2.0", "method": "notifications/initialized"})).await.is_err() {
        return listed;
    }
    listed.tools = ends.list(100, "tools").await;
    listed.prompts = ends.list(200, "prompts").await;
    listed.resources = ends.list(300, "resources").await;
    listed
}

impl Ends {
    async fn say(&mut self, message: &Value) -> io::Result<()> {
        self.input.write_all(format!("{message}\n").as_bytes()).await
    }

    /// All entries of a list, page by page.
    async fn list(&mut self, first: u64, what: &str) -> Option<usize> {
        let (mut count, mut cursor) = (0, Value::Null);
        for id in (first..).take(PAGES) {
            let params = if cursor.is_null() { json!({}) } else { json!({"cursor": cursor}) };
            let result = self.ask(id, &format!("{what}/list"), params).await?;
            count += result.get(what)?.as_array()?.len();
            cursor = result.get("nextCursor").cloned().unwrap_or_default();
            if !cursor.is_string() {
                break;
            }
        }
        Some(count)
    }

    /// The result of a request; none if it is refused, or nothing comes in time.
    async fn ask(&mut self, id: u64, method: &str, params: Value) -> Option<Value> {
        let request = json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params});
        let answered = async {
            self.say(&request).await.ok()?;
            for _ in 0..LINES {
                let Line::Whole(line) = self.output.next().await.ok()?? else { continue };
                let Ok(message) = serde_json::from_slice::<Value>(&line) else { continue };
                match (message.get("id"), message.get("method")) {
                    // What it asks a client for nobody here has.
                    (Some(asked), Some(_)) => {
                        let error = json!({"code": -32601, "message": "this client only asks for lists"});
                        self.say(&json!({"jsonrpc": "2.0", "id": asked, "error": error})).await.ok()?;
                    }
                    (Some(answered), None) if *answered == json!(id) => return message.get("result").cloned(),
                    _ => {}
                }
            }
            None
        };
        tokio::time::timeout(PATIENCE, answered).await.ok().flatten()
    }
}
