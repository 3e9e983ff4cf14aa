//! Starting a crashed server again in the middle of a conversation.
//!
//! A server that crashes after its client has come to know it is started again after a pause. What was asked of it
//! and not answered is answered with an error; the client's own `initialize` and `notifications/initialized` are sent
//! again, judged and recorded like any message, and the answer is kept from the client, who has had one. If that
//! answer shows a server with another name, version, revision or other capabilities, the conversation ends: the client
//! would talk to a server that it has not met. In the stateless era there is nothing to say again.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use bartizan_guard::{CallSummary, Direction};
use bartizan_mcp::{Digest, Era, Kind, Limits, Message, Revision, meta::Meta, method};
use bartizan_sandbox::ExitStatus;
use serde_json::json;
use tokio::sync::{mpsc, watch};

use super::stdio;
use crate::admit::Admitted;
use crate::link::Link;
use crate::problem::{self, Problem};
use crate::program::Program;
use crate::relay::Relay;
use crate::server::Complain;
use crate::upstream::{Replies, Reply, Routing, StdioUpstream, Upstream};

/// How often in a row a server is started again before it has answered anything.
const ATTEMPTS: u32 = 5;
/// The first pause; each further one is twice as long, so the last is 8 s.
const PAUSE: Duration = Duration::from_millis(500);
/// How long a server may take to shake hands again.
const HANDSHAKE: Duration = Duration::from_secs(60);

/// Whether and how a server is started again.
pub(crate) struct Restart {
    /// How to start it; `None` if it is not to be started again.
    program: Option<Program>,
    limits: Limits,
    complain: Complain,
    /// Becomes true when the server was told to end.
    stop: watch::Receiver<bool>,
    seen: Mutex<Seen>,
}

/// What was seen of the conversation.
#[derive(Default)]
struct Seen {
    initialize: Option<Message>,
    initialized: Option<Message>,
    known: Option<Identity>,
    /// An `initialize` was answered; another one does not change that.
    in_session: bool,
    /// The last `initialize` was answered with an error.
    declined: bool,
    stateless: bool,
    answered: bool,
    in_a_row: u32,
    ended: Option<ExitStatus>,
}

/// What a client knows about the server from its answer to `initialize`.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Identity([Option<Digest>; 4]);

/// Why a server that was started again is not the one to go on with.
enum Failure {
    /// It may be tried once more.
    Crashed(Option<ExitStatus>, String),
    /// It is another one.
    Changed,
}

impl Restart {
    /// Starts the server again as `program` says, until `stop` becomes true; never if there is none.
    pub(crate) fn new(
        program: Option<Program>,
        limits: Limits,
        complain: Complain,
        stop: watch::Receiver<bool>,
    ) -> Self {
        Restart { program, limits, complain, stop, seen: Mutex::default() }
    }

    /// Notes what the client sends.
    pub(crate) fn note_sent(&self, message: &Message) {
        let mut seen = self.seen();
        match message.method() {
            Some(method::INITIALIZE) => {
                let (ended, in_session) = (seen.ended, seen.in_session);
                *seen = Seen { initialize: Some(message.clone()), ended, in_session, ..Seen::default() };
            }
            Some(method::INITIALIZED) => seen.initialized = Some(message.clone()),
            Some(_) if !seen.stateless => {
                let revision = Meta::of(message).protocol_version().and_then(|text| text.parse::<Revision>().ok());
                seen.stateless = revision.is_some_and(|revision| revision.era() == Era::Stateless);
            }
            _ => {}
        }
    }

    /// What is wrong with a message of the client's that says both that it is part of a session and that there is none.
    pub(crate) fn of_two_eras(&self, message: &Message) -> Option<Problem> {
        let in_session = {
            let seen = self.seen();
            // One that is not answered yet may be by the time that the server reads this.
            seen.in_session || seen.initialize.is_some() && !seen.declined
        };
        if in_session || message.method() == Some(method::INITIALIZE) { problem::of_two_eras(message) } else { None }
    }

    /// Notes what the server answers.
    pub(crate) fn note_answer(&self, call: &CallSummary, message: &Message) {
        if message.kind() != Kind::Result {
            return self.note_error(call);
        }
        let mut seen = self.seen();
        if &*call.method == method::INITIALIZE {
            seen.known = Identity::of(message);
            seen.in_session = true;
        } else {
            seen.answered = true;
            seen.in_a_row = 0;
        }
    }

    /// Notes that the client gets an error, be it the server's or the gateway's.
    pub(crate) fn note_error(&self, call: &CallSummary) {
        self.seen().declined |= &*call.method == method::INITIALIZE;
    }

    /// How the server ended last.
    pub(crate) fn ended(&self) -> Option<ExitStatus> {
        self.seen().ended
    }

    /// Returns when the server was told to end, if ever.
    pub(crate) async fn stopped(&self) {
        let mut stop = self.stop.clone();
        if stop.wait_for(|stop| *stop).await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// Starts the server behind `current` again after it has ended, if it crashed and may be; then `current` is the
    /// way to the new one, and what that sends is returned. What it sends to the client meanwhile goes into `queue`.
    pub(crate) async fn again(
        &self,
        current: &ArcSwap<Link>,
        status: ExitStatus,
        queue: &mpsc::Sender<Admitted>,
    ) -> Option<Replies> {
        let program = self.program.as_ref().filter(|_| self.mends(status))?;
        let mut why = format!("the server {status}");
        loop {
            self.pause(&why).await?;
            let old = current.load_full();
            let started = tokio::select! {
                started = self.start(&old, program, queue) => started,
                () = self.stopped() => return None,
            };
            match started {
                Ok((link, replies)) => {
                    current.store(link);
                    return Some(replies);
                }
                Err(Failure::Crashed(ended, reason)) => {
                    self.seen().ended = ended.or(Some(status));
                    why = reason;
                }
                Err(Failure::Changed) => {
                    self.note_changed();
                    return None;
                }
            }
        }
    }

    /// Waits before the server is started again, and says so; `None` if that was often enough or it was told to end.
    pub(super) async fn pause(&self, why: &str) -> Option<()> {
        let (attempt, pause) = self.seen().next_attempt()?;
        let seconds = pause.as_secs_f32();
        (self.complain.0)(&format!("bartizan: {why}; it is started again in {seconds} s ({attempt} of {ATTEMPTS})"));
        tokio::select! {
            () = tokio::time::sleep(pause) => Some(()),
            () = self.stopped() => None,
        }
    }

    /// Notes how the server ended; whether it is to be started again.
    pub(super) fn mends(&self, status: ExitStatus) -> bool {
        self.seen().ended = Some(status);
        self.program.is_some() && self.is_wanted(status)
    }

    /// Says that what was started again is not what the client knows.
    pub(super) fn note_changed(&self) {
        let said = "what was started again says that it is another server, so the conversation ends";
        (self.complain.0)(&format!("bartizan: {said}"));
    }

    /// Whether it is the server that the client knows which says this of itself; the first that says so is.
    pub(super) fn knows(&self, said: &Message) -> bool {
        let Some(says) = Identity::of(said) else { return false };
        *self.seen().known.get_or_insert_with(|| says.clone()) == says
    }

    /// The client's `initialize`, if it has sent one.
    pub(super) fn initialize(&self) -> Option<Message> {
        self.seen().initialize.clone()
    }

    fn is_wanted(&self, status: ExitStatus) -> bool {
        !status.success() && !*self.stop.borrow() && self.seen().has_met()
    }

    async fn start(
        &self,
        old: &Link,
        program: &Program,
        queue: &mpsc::Sender<Admitted>,
    ) -> Result<(Arc<Link>, Replies), Failure> {
        let crashed = |why: String| Failure::Crashed(None, why);
        let complain = Arc::clone(&self.complain.0);
        let child = StdioUpstream::spawn(program, Routing::Ordered, self.limits, move |line| complain(line)).await;
        let child = child.map_err(|error| crashed(format!("the server could not be started ({error})")))?;
        let link = Arc::new(old.with_upstream(Upstream::Stdio(child)));
        let started =
            json!({"server": link.server.name, "again": true, "after": self.ended().map(ExitStatus::shell_code)});
        let noted = link.gateway.recorder.note("server.started", &started);
        noted.map_err(|error| crashed(format!("the audit log cannot be written ({error})")))?;
        let replies = link.upstream.listen(&Relay::default()).await;
        let mut replies = replies.map_err(|error| crashed(error.to_string()))?;
        let hands = tokio::time::timeout(HANDSHAKE, self.shake_hands(&link, &mut replies, queue)).await;
        match hands.unwrap_or_else(|_| Err(crashed("the server did not answer `initialize`".to_owned()))) {
            Ok(()) => Ok((link, replies)),
            Err(Failure::Crashed(_, why)) => {
                let Upstream::Stdio(child) = &link.upstream else { return Err(crashed(why)) };
                let status = child.end().await;
                Err(Failure::Crashed(Some(status), format!("{why}: it {status}")))
            }
            Err(Failure::Changed) => {
                link.upstream.end().await;
                Err(Failure::Changed)
            }
        }
    }

    /// Says to the new server what the client said to the old one, and compares the answers.
    async fn shake_hands(
        &self,
        link: &Link,
        replies: &mut Replies,
        queue: &mpsc::Sender<Admitted>,
    ) -> Result<(), Failure> {
        let (initialize, initialized, known) = {
            let seen = self.seen();
            (seen.initialize.clone(), seen.initialized.clone(), seen.known.clone())
        };
        let (Some(initialize), Some(initialized)) = (initialize, initialized) else { return Ok(()) };
        let Some(call) = CallSummary::of(&initialize) else { return Ok(()) };
        self.say(link, initialize).await?;
        let answer = self.answer(link, &call, replies, queue).await?;
        if Identity::of(answer.message()) != known {
            return Err(Failure::Changed);
        }
        self.say(link, initialized).await
    }

    async fn say(&self, link: &Link, message: Message) -> Result<(), Failure> {
        let failed = |why: String| Failure::Crashed(None, why);
        let admitted = link.pass(message, Direction::ToServer, None).await;
        let admitted = admitted.map_err(|refusal| failed(refusal.sentence()))?;
        let sent = link.upstream.send(admitted, &Relay::default()).await;
        sent.map(drop).map_err(|error| failed(error.to_string()))
    }

    /// The answer to `call`; what comes before it is for the client.
    async fn answer(
        &self,
        link: &Link,
        call: &CallSummary,
        replies: &mut Replies,
        queue: &mpsc::Sender<Admitted>,
    ) -> Result<Admitted, Failure> {
        loop {
            match replies.next().await {
                Ok(Some(Reply::Message(message, _))) if message.is_response() && message.id() == Some(&call.id) => {
                    let passed = link.pass(message, Direction::ToClient, Some(call)).await;
                    return passed.map_err(|refusal| Failure::Crashed(None, refusal.sentence()));
                }
                Ok(Some(other)) => {
                    if let Some(message) = stdio::deliver(link, self, other).await {
                        // A client that has gone is noticed when the conversation goes on.
                        queue.send(message).await.ok();
                    }
                }
                Ok(None) | Err(_) => {
                    return Err(Failure::Crashed(None, "the server ended before it answered `initialize`".to_owned()));
                }
            }
        }
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Seen {
    /// Whether the client knows the server, so that it can tell whether the next one is the same.
    fn has_met(&self) -> bool {
        match self.initialize {
            Some(_) => self.known.is_some() && self.initialized.is_some(),
            None => self.stateless && self.answered,
        }
    }

    /// The number of the next attempt and the pause before it; `None` if there were enough.
    fn next_attempt(&mut self) -> Option<(u32, Duration)> {
        let pause = PAUSE.saturating_mul(1_u32.checked_shl(self.in_a_row)?);
        self.in_a_row = self.in_a_row.saturating_add(1);
        (self.in_a_row <= ATTEMPTS).then_some((self.in_a_row, pause))
    }
}

impl Identity {
    /// `None` if it is no answer to `initialize`.
    fn of(answer: &Message) -> Option<Identity> {
        let result = answer.result()?;
        let paths: [&[&str]; 4] =
            [&["serverInfo", "name"], &["serverInfo", "version"], &["capabilities"], &["protocolVersion"]];
        Some(Identity(paths.map(|path| result.at(path).map(Digest::of))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(json: &str) -> Message {
        Message::parse(json.to_owned(), &Limits::default()).unwrap()
    }

    fn restart(program: Option<Program>) -> (watch::Sender<bool>, Restart) {
        let (sender, stop) = watch::channel(false);
        (sender, Restart::new(program, Limits::default(), Complain(Arc::new(|_| {})), stop))
    }

    const INITIALIZE: &str = r#"{"jsonrpc":"2.0","id":1,"method":"initialize","params":{}}"#;
    const INITIALIZED: &str = r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#;
    const WELCOME: &str = r#"{"jsonrpc":"2.0","id":1,"result":{"protocolVersion":"2025-11-25","capabilities":{}}}"#;
    const LIST: &str = r#"{"jsonrpc":"2.0","id":2,"method":"tools/list"}"#;
    const STATELESS: &str = r#"{"jsonrpc":"2.0","id":2,"method":"tools/list","params":{"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28"}}}"#;
    const TOOLS: &str = r#"{"jsonrpc":"2.0","id":2,"result":{"tools":[]}}"#;
    const ERROR: &str = r#"{"jsonrpc":"2.0","id":2,"error":{"code":-32601,"message":"no"}}"#;

    #[test]
    fn only_a_crash_of_a_server_that_the_client_knows_is_mended() {
        let check = |said: &[&str], status: ExitStatus, expected: bool| {
            let (_stop, restart) = restart(Some(bartizan_sandbox::Launch::new("true").into()));
            let mut asked = None;
            for json in said {
                let message = message(json);
                if let Some(call) = asked.as_ref().filter(|_| message.is_response()) {
                    restart.note_answer(call, &message);
                } else {
                    asked = CallSummary::of(&message).or(asked);
                    restart.note_sent(&message);
                }
            }
            assert_eq!(restart.is_wanted(status), expected, "{said:?} {status}");
        };
        let (crash, kill, end) = (ExitStatus::Code(1), ExitStatus::Signal(9), ExitStatus::Code(0));
        check(&[INITIALIZE, WELCOME, INITIALIZED], crash, true);
        check(&[INITIALIZE, WELCOME, INITIALIZED], kill, true);
        check(&[INITIALIZE, WELCOME, INITIALIZED], end, false);
        check(&[INITIALIZE, WELCOME], crash, false);
        check(&[INITIALIZE, ERROR, INITIALIZED], crash, false);
        check(&[INITIALIZE], crash, false);
        check(&[], crash, false);
        check(&[LIST, TOOLS], crash, false);
        check(&[STATELESS, TOOLS], crash, true);
        check(&[STATELESS, ERROR], crash, false);
        check(&[STATELESS], crash, false);
        check(&[STATELESS, ERROR, INITIALIZE, WELCOME], crash, false);
        check(&[STATELESS, ERROR, INITIALIZE, WELCOME, INITIALIZED], crash, true);
    }

    #[test]
    fn a_session_begins_with_initialize_unless_that_is_answered_with_an_error() {
        let check = |said: &[&str], next: &str, refused: bool| {
            let (_stop, restart) = restart(None);
            for json in said {
                let message = message(json);
                if message.is_response() {
                    restart.note_answer(&CallSummary::of(&self::message(INITIALIZE)).unwrap(), &message);
                } else {
                    restart.note_sent(&message);
                }
            }
            assert_eq!(restart.of_two_eras(&message(next)).is_some(), refused, "{said:?} {next}");
        };
        let greeting = STATELESS.replace("tools/list", "initialize");
        for (said, refused) in [
            (&[][..], false),
            (&[STATELESS], false),
            (&[INITIALIZE], true),
            (&[INITIALIZE, WELCOME], true),
            (&[INITIALIZE, ERROR], false),
            (&[INITIALIZE, WELCOME, INITIALIZE], true),
            (&[INITIALIZE, WELCOME, INITIALIZE, ERROR], true),
            (&[INITIALIZE, ERROR, INITIALIZE], true),
        ] {
            check(said, STATELESS, refused);
            check(said, LIST, false);
            check(said, &greeting, true);
        }
    }

    #[test]
    fn a_server_that_was_told_to_end_is_not_started_again() {
        let (stop, restart) = restart(Some(bartizan_sandbox::Launch::new("true").into()));
        for said in [INITIALIZE, INITIALIZED] {
            restart.note_sent(&message(said));
        }
        restart.note_answer(&CallSummary::of(&message(INITIALIZE)).unwrap(), &message(WELCOME));
        assert!(restart.is_wanted(ExitStatus::Signal(15)));
        stop.send(true).unwrap();
        assert!(!restart.is_wanted(ExitStatus::Signal(15)));
    }

    #[test]
    fn pauses_grow_until_it_is_enough_and_an_answer_begins_anew() {
        let (_stop, restart) = restart(None);
        let pauses = || std::iter::from_fn(|| restart.seen().next_attempt()).map(|(_, pause)| pause.as_millis());
        assert_eq!(pauses().collect::<Vec<_>>(), [500, 1000, 2000, 4000, 8000]);
        assert_eq!(restart.seen().next_attempt(), None);
        restart.note_answer(&CallSummary::of(&message(LIST)).unwrap(), &message(ERROR));
        assert_eq!(restart.seen().next_attempt(), None);
        restart.note_answer(&CallSummary::of(&message(LIST)).unwrap(), &message(TOOLS));
        assert_eq!(pauses().count(), 5);
    }

    #[test]
    fn a_server_is_known_by_what_it_answered() {
        let of =
            |members: &str| Identity::of(&message(&format!(r#"{{"jsonrpc":"2.0","id":1,"result":{{{members}}}}}"#)));
        let known = of(
            r#""protocolVersion":"2025-11-25","capabilities":{"tools":{},"logging":{}},"serverInfo":{"name":"a","version":"1"}"#,
        );
        let check = |members: &str, same: bool| assert_eq!(of(members) == known, same, "{members}");
        check(
            r#""serverInfo":{"version":"1","name":"a"},"capabilities":{"logging":{},"tools":{}},"protocolVersion":"2025-11-25""#,
            true,
        );
        check(
            r#""instructions":"new","protocolVersion":"2025-11-25","capabilities":{"tools":{},"logging":{}},"serverInfo":{"name":"a","version":"1","title":"A"}"#,
            true,
        );
        check(
            r#""protocolVersion":"2025-06-18","capabilities":{"tools":{},"logging":{}},"serverInfo":{"name":"a","version":"1"}"#,
            false,
        );
        check(
            r#""protocolVersion":"2025-11-25","capabilities":{"tools":{}},"serverInfo":{"name":"a","version":"1"}"#,
            false,
        );
        check(
            r#""protocolVersion":"2025-11-25","capabilities":{"tools":{},"logging":{}},"serverInfo":{"name":"b","version":"1"}"#,
            false,
        );
        check(
            r#""protocolVersion":"2025-11-25","capabilities":{"tools":{},"logging":{}},"serverInfo":{"name":"a","version":"2"}"#,
            false,
        );
        check(r#""protocolVersion":"2025-11-25","capabilities":{"tools":{},"logging":{}}"#, false);
        assert_eq!(Identity::of(&message(ERROR)), None);
    }
}
