//! The only place that makes an [`Admitted`], which is all that the writers towards servers and clients accept.
//!
//! A bypass does not compile: `Admitted` has no public constructor, and each way to one goes through a committed
//! verdict and a receipt of the log.

use std::sync::Arc;
use std::time::Duration;

use bartizan_audit::{AuditError, Level, Receipt};
use bartizan_guard::{CallSummary, Decision, Denial, Direction, Event, Fact, Labels, News, Verdict};
use bartizan_mcp::{Edits, Era, Id, Limits, Message, Rejection, Value, method, quote};
use bytes::Bytes;

use crate::asking::Asking;
use crate::cache;
use crate::limiter::Slot;
use crate::metrics::Metrics;
use crate::recorder::{Outcome, Recorder, Unreadable};
use crate::session::{Conflict, SessionHandle};
use crate::unread::Unread;

/// A message that was judged and recorded, and may leave.
#[derive(Debug)]
#[must_use = "an admitted message that is not sent is lost"]
pub struct Admitted {
    message: Message,
    /// Of a request, its place among those that wait for their answers.
    slot: Option<Arc<Slot>>,
    /// Of a refusal, what a token would have to say so that there were none.
    lacking: Option<Lacking>,
    /// The entry of the log that says it may leave, if a verdict does.
    entry: Option<bartizan_audit::Id>,
}

/// What a token lacks that would be proof enough of who asks if it had it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Lacking {
    /// How long ago whoever asks may have shown a second factor.
    pub(crate) max_age: Duration,
    /// Whether the client is asked to have its user go to an address.
    pub(crate) is_asked: bool,
}

impl Admitted {
    /// The message.
    #[must_use]
    pub fn message(&self) -> &Message {
        &self.message
    }

    /// Its bytes.
    #[must_use]
    pub fn bytes(&self) -> &Bytes {
        self.message.bytes()
    }
}

impl Admitted {
    fn of(message: Message) -> Admitted {
        // It may wait for long until it is sent, and nobody reads it as a whole any more.
        Admitted { message: message.settled(), slot: None, lacking: None, entry: None }
    }

    /// The id under which `bartizan why` explains it.
    pub(crate) fn entry(&self) -> Option<String> {
        self.entry.map(|id| id.to_string())
    }

    /// What a token would have to say so that it were no refusal.
    pub(crate) fn lacking(&self) -> Option<Lacking> {
        self.lacking
    }

    /// The same message for a client that may have lost it on the way.
    pub(crate) fn again(&self) -> Admitted {
        Admitted::of(self.message.clone())
    }

    /// The same request with its place among those that wait.
    pub(crate) fn with_slot(self, slot: Option<Slot>) -> Admitted {
        Admitted { slot: slot.map(Arc::new), ..self }
    }

    /// Its place, for whoever waits for the answer.
    pub(crate) fn slot(&mut self) -> Option<Arc<Slot>> {
        self.slot.take()
    }

    /// The same message under ids of the gateway's own making; it stays what was admitted if they do not fit.
    pub(crate) fn rewritten(self, edits: &Edits) -> Admitted {
        // An id of the gateway's making may be longer than what is accepted from outside.
        match self.message.edited(edits, &OWN) {
            Ok(message) => Admitted { message, ..self },
            Err(_) => self,
        }
    }
}

/// Bounds of what the gateway composes: its pieces were within those for messages, and all servers' lists in one may
/// be larger than any of them.
const OWN: Limits = Limits { name_bytes: 4 * 1024, ..Limits::AGAIN };

/// A message that may not leave, and what to tell whoever waits for it.
#[derive(Debug)]
pub struct Refusal {
    /// The entry of the log; none if the log itself is what failed.
    receipt: Option<Receipt>,
    /// The rule that decided.
    pub rule: &'static str,
    /// Its reason.
    pub why: String,
    /// The code of the JSON-RPC error.
    pub code: i64,
    /// The request for approval that waits, if one does.
    pub(crate) asking: Option<Box<Asking>>,
    /// How long ago whoever asks may have shown a second factor, where a token that says so is proof enough.
    pub(crate) max_age: Option<Box<Duration>>,
    /// What it has spent already, for as long as it is held.
    pub(crate) paid: Option<Box<Paid>>,
    /// What its tool has done, where it is the answer that is refused.
    pub(crate) ran: Ran,
}

/// Whether a call has been carried out of which the answer is refused: whoever takes a refusal for one of the call makes it again, and pays twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Ran {
    /// No tool was called as far as this refusal is concerned.
    #[default]
    No,
    /// The call has reached its server, which did not say that it has been carried out.
    Perhaps,
    /// It has been carried out, and only its result is withheld.
    Yes,
}

impl Ran {
    /// What an answer to that call says of it, if it is one of a tool's.
    pub(crate) fn of(answer: &Message, call: Option<&CallSummary>) -> Ran {
        // A task goes on when it is answered.
        let is_task = |result: Value<'_>| result.get("task").is_some() || result.get("taskId").is_some();
        match (Ran::unless_read(call), answer.result()) {
            (Ran::Perhaps, Some(result)) if !is_task(result) => Ran::Yes,
            (ran, _) => ran,
        }
    }

    /// What is known where the answer to that call cannot be read.
    pub(crate) fn unless_read(call: Option<&CallSummary>) -> Ran {
        if call.is_some_and(|call| &*call.method == method::TOOLS_CALL) { Ran::Perhaps } else { Ran::No }
    }

    /// What is said of it, with a space in front.
    fn sentence(self) -> &'static str {
        match self {
            Ran::No => "",
            Ran::Perhaps => {
                " The call has reached its server and may have been carried out: find out before it is made again."
            }
            Ran::Yes => " The tool has run and only its answer is withheld: do not make the call again to get it.",
        }
    }
}

/// What a request has spent of its rates, and its place among those that wait, if it has one.
#[derive(Debug)]
pub(crate) struct Paid(pub(crate) Option<Slot>);

/// Code of the error for a message that a rule denies; outside of what JSON-RPC and MCP reserve.
pub const CODE_DENIED: i64 = -31_001;
/// JSON-RPC keeps the codes up to this one for itself and for protocols on it (JSON-RPC 2.0, section 5.1).
const JSON_RPC_SERVER: i64 = -32_000;
/// Code of the error for a message that needs a person's approval.
pub const CODE_APPROVAL: i64 = -31_002;
/// Code of the error for a server that cannot be reached or answered nonsense.
pub const CODE_UPSTREAM: i64 = -31_003;
/// Code of the error for a fault of the gateway's own, such as a log that cannot be written.
pub const CODE_OURS: i64 = -31_004;

impl Refusal {
    /// The id under which `bartizan why` explains it.
    #[must_use]
    pub fn decision(&self) -> Option<String> {
        self.receipt.as_ref().map(|receipt| receipt.id().to_string())
    }

    /// Whether a response is a refusal of the gateway's, and not what the server says.
    pub(crate) fn is_in(answer: &Message) -> bool {
        let code = answer.error().and_then(|error| error.get("code")?.as_i64());
        code.is_some_and(|code| [CODE_DENIED, CODE_APPROVAL, CODE_UPSTREAM, CODE_OURS].contains(&code))
    }

    /// The same refusal in other words; the log keeps the first ones. That the log failed has no others.
    pub(crate) fn saying(self, why: String) -> Refusal {
        if self.rule == UNRECORDED { self } else { Refusal { why, ..self } }
    }

    /// The request for approval that it waits for.
    pub(crate) fn waits(&self) -> Option<&str> {
        self.asking.as_ref().map(|asking| &*asking.id)
    }

    /// The same refusal, which waits for somebody's agreement. That the log failed waits for nobody.
    pub(crate) fn waiting_for(self, asking: Option<Box<Asking>>) -> Refusal {
        if self.rule == UNRECORDED { self } else { Refusal { asking, ..self } }
    }

    /// The same refusal, of an answer to a call of which that is known.
    pub(crate) fn after(self, ran: Ran) -> Refusal {
        Refusal { ran, ..self }
    }

    /// The same refusal, which keeps what its message has spent.
    pub(crate) fn keeping(self, paid: Option<Box<Paid>>) -> Refusal {
        Refusal { paid, ..self }
    }

    /// The same refusal, which a token of a sign-in with a second factor would have spared, no longer ago than that.
    pub(crate) fn unless_proven(self, max_age: Option<Duration>) -> Refusal {
        if self.rule == UNRECORDED { self } else { Refusal { max_age: max_age.map(Box::new), ..self } }
    }

    /// What a person or a model is told.
    #[must_use]
    pub fn sentence(&self) -> String {
        let verb = if self.code == CODE_UPSTREAM { "Stopped" } else { "Blocked" };
        let decision = self.decision().map(|id| format!(" Decision {id}.")).unwrap_or_default();
        format!("{verb} by bartizan: {} ({}).{}{decision}", self.why, self.rule, self.ran.sentence())
    }

    /// The answer to whoever asked with `id`; for a tool call a result that the model gets to read.
    pub fn answer(&self, id: Option<&Id>, call: Option<&CallSummary>) -> Admitted {
        let asked = id.zip(call).zip(self.asking.as_ref());
        let asked = asked.and_then(|((id, call), asking)| asking.answer(id, call.era, &self.sentence()));
        let is_asked = asked.is_some();
        let tool = call.filter(|call| &*call.method == method::TOOLS_CALL);
        let answer = match (asked, id, tool) {
            (Some(json), ..) => Admitted::of(own_message(json)),
            (None, Some(id), Some(call)) => self.result(id, call.era),
            _ => self.error(id, ""),
        };
        Admitted { lacking: self.max_age.as_deref().map(|max_age| Lacking { max_age: *max_age, is_asked }), ..answer }
    }

    /// The answer to a message that goes nowhere: an error in the words of JSON-RPC if it cannot be served at all, else as
    /// for any that is refused.
    pub(crate) fn answer_to(&self, message: &Message) -> Admitted {
        let call = if self.code > JSON_RPC_SERVER { CallSummary::of(message) } else { None };
        self.answer(message.id(), call.as_ref())
    }

    fn result(&self, id: &Id, era: Era) -> Admitted {
        let (id, text, rule) = (id.to_json(), quote(&self.sentence()), quote(self.rule));
        // Some clients of older revisions refuse members that they do not know.
        let kind = if era == Era::Stateless { r#""resultType":"complete","# } else { "" };
        let json = format!(
            r#"{{"jsonrpc":"2.0","id":{id},"result":{{"content":[{{"type":"text","text":{text}}}],"isError":true,{kind}"_meta":{{"bartizan/rule":{rule}}}}}}}"#,
        );
        Admitted::of(own_message(json))
    }

    /// An error; `more` are members of its `data`, as JSON, each with a comma after it.
    pub(crate) fn error(&self, id: Option<&Id>, more: &str) -> Admitted {
        let id = id.map_or_else(|| "null".to_owned(), Id::to_json);
        let decision = self.decision().map_or_else(|| "null".to_owned(), |id| quote(&id));
        let (code, text, rule) = (self.code, quote(&self.sentence()), quote(self.rule));
        let json = format!(
            r#"{{"jsonrpc":"2.0","id":{id},"error":{{"code":{code},"message":{text},"data":{{{more}"rule":{rule},"decision":{decision}}}}}}}"#,
        );
        Admitted::of(own_message(json))
    }
}

/// What the gateway itself says; it is built from quoted pieces, so reading it back cannot fail.
fn own_message(json: String) -> Message {
    let fallback = || {
        let json = r#"{"jsonrpc":"2.0","id":null,"error":{"code":-31004,"message":"Blocked by bartizan"}}"#;
        Message::parse(json.to_owned(), &OWN)
    };
    match Message::parse(json, &OWN).or_else(|_| fallback()) {
        Ok(message) => message,
        // Neither can fail: both are JSON-RPC errors within every limit.
        Err(_) => std::process::abort(),
    }
}

/// What keeps a verdict from being carried out.
pub(crate) enum NotAdmitted {
    /// The session changed meanwhile: judge again.
    Conflict,
    /// It is refused, and recorded as that.
    Refused(Refusal),
}

/// What came of keeping facts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kept {
    /// They are on disk.
    Done,
    /// Somebody else saw something different first: the message has to be judged again.
    JudgeAgain,
}

/// Where verdicts are carried out.
pub(crate) struct Desk<'a> {
    pub(crate) recorder: &'a Recorder,
    pub(crate) metrics: &'a Metrics,
    pub(crate) session: &'a SessionHandle,
    pub(crate) session_id: &'a str,
    pub(crate) limits: &'a Limits,
    /// The version of the policies that judge, if there are any.
    pub(crate) policies: Option<&'a str>,
    /// What the log has to promise for a message that passes.
    pub(crate) level: Level,
    /// The request for approval that the message waits for, or because of which it passes.
    pub(crate) approval: Option<&'a str>,
    /// What to do about an approval that it needs, or why nobody can be asked for it.
    pub(crate) unsettled: Option<&'a str>,
    /// Whether somebody is asked for it.
    pub(crate) waits: bool,
    /// What the message brings into the conversation.
    pub(crate) news: Option<&'a News>,
}

impl Desk<'_> {
    /// Carries out a verdict: edits, commits what is to be remembered, records, and only then lets the message go.
    ///
    /// `version` is the session that the verdict was reached on; `keep` stores facts that outlive the session.
    pub(crate) async fn admit(
        &self,
        event: &Event<'_>,
        verdict: Verdict,
        version: u64,
        keep: impl AsyncFnOnce(&[Fact]) -> Result<Kept, String>,
    ) -> Result<Admitted, NotAdmitted> {
        let mut name = verdict.decision.as_str();
        let private = if event.direction == Direction::ToClient { cache::make_private(event.message) } else { None };
        let edits = match &verdict.decision {
            Decision::Allow => private.clone(),
            Decision::Transform(edits) => {
                let mut edits = edits.clone();
                edits.extend(private.clone().unwrap_or_default());
                Some(edits)
            }
            Decision::Deny(denial) => return Err(self.deny(event, &verdict, name, denial.clone(), CODE_DENIED)),
            Decision::RequireApproval(asked) => {
                let why = format!("{}; {}", asked.why, self.unsettled.unwrap_or("nobody can be asked about this here"));
                // Without anybody who is asked, it waits for nobody.
                let name = if self.waits { name } else { "deny" };
                return Err(self.deny(event, &verdict, name, Denial { rule: asked.rule, why }, CODE_APPROVAL));
            }
        };
        let edited = match edits.map(|edits| event.message.edited(&edits, self.limits)) {
            None => event.message.clone(),
            Some(Ok(message)) => message,
            Some(Err(_)) => return Err(self.deny(event, &verdict, name, Denial::edit_failed(), CODE_DENIED)),
        };
        if !verdict.facts.is_empty() {
            match keep(&verdict.facts).await {
                Ok(Kept::Done) => {}
                Ok(Kept::JudgeAgain) => return Err(NotAdmitted::Conflict),
                Err(why) => {
                    let denial = Denial { rule: "gateway.lock_unwritable", why };
                    return Err(self.deny(event, &verdict, "deny", denial, CODE_OURS));
                }
            }
            self.session.commit(version, &verdict.facts).map_err(|Conflict| NotAdmitted::Conflict)?;
        }
        // Before it leaves: whatever the client asks because of it is judged by that.
        let raised = self.session.conversation().raise(verdict.raises, self.session_id);
        self.metrics.labelled(raised);
        let number = self.news.and_then(|news| self.session.conversation().remembers(news));
        let (rule, why) = match private {
            Some(_) => (Some(cache::RULE), Some(cache::WHY)),
            None => (None, None),
        };
        if rule.is_some() {
            name = "transform";
        }
        let outcome = Outcome {
            decision: name,
            rule,
            why,
            findings: &verdict.findings,
            approval: self.approval,
            policies: self.policies,
            permitted_by: verdict.permitted_by.as_deref(),
            labels: (verdict.labels, raised),
        };
        let receipt = self.recorder.message(event, self.session_id, &outcome).map_err(|_| log_failed())?;
        if !verdict.raises.is_empty() {
            let of = (&event.server.name, event.answers.and_then(|call| call.tool.as_ref()));
            self.session.conversation().is_recorded(self.session_id, receipt.id(), raised, of);
        }
        if let Some(number) = number {
            self.session.conversation().news_are_recorded(number, receipt.id());
        }
        let receipt = self.recorder.at_least(self.level, receipt).await.map_err(|_| log_failed())?;
        Ok(Admitted { entry: Some(receipt.id()), ..Admitted::of(edited) })
    }

    /// Records a refusal that no guard decided, such as a response that nobody waits for.
    pub(crate) fn refuse(&self, event: &Event<'_>, rule: &'static str, why: String, code: i64) -> Refusal {
        let receipt = self.recorder.message(event, self.session_id, &Outcome::refusal(rule, &why));
        settle(receipt, rule, why, code)
    }

    fn deny(&self, event: &Event<'_>, verdict: &Verdict, name: &'static str, denial: Denial, code: i64) -> NotAdmitted {
        let outcome = Outcome {
            decision: if name == "approve" { name } else { "deny" },
            rule: Some(denial.rule),
            why: Some(&denial.why),
            findings: &verdict.findings,
            approval: self.approval,
            policies: self.policies,
            permitted_by: None,
            labels: (verdict.labels, Labels::NONE),
        };
        let receipt = self.recorder.message(event, self.session_id, &outcome);
        NotAdmitted::Refused(settle(receipt, denial.rule, denial.why, code))
    }
}

/// Records a server's message that goes nowhere.
pub(crate) fn refuse(
    recorder: &Recorder,
    session: &str,
    event: &Event<'_>,
    rule: &'static str,
    why: String,
) -> Refusal {
    settle(recorder.message(event, session, &Outcome::refusal(rule, &why)), rule, why, CODE_DENIED)
}

/// Refuses a server's message that the log only counts, because there are too many of the kind.
pub(crate) fn counted(rule: &'static str, why: String, code: i64) -> Refusal {
    Refusal { receipt: None, rule, why, code, asking: None, max_age: None, paid: None, ran: Ran::No }
}

/// Records and refuses what could not be read.
pub(crate) fn unreadable(
    recorder: &Recorder,
    direction: Direction,
    principal: &str,
    server: &str,
    session: &str,
    (bytes, rejection): (&Unread, &Rejection),
) -> Refusal {
    let what = Unreadable { direction, principal, server, session, bytes, rejection };
    let receipt = recorder.unreadable(&what);
    let fault = rejection.fault;
    let whose = match direction {
        Direction::ToServer => "the message",
        Direction::ToClient => "the server's message",
    };
    // Towards the client, it is the server that broke the rules, which no JSON-RPC code says.
    let code = if direction == Direction::ToServer { fault.code() } else { CODE_DENIED };
    settle(receipt, fault.rule(), format!("{whose} is refused: {rejection}"), code)
}

/// The message that a record is about, as far as there is one: by these the record is found from there.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct About<'a> {
    method: Option<&'a str>,
    id: Option<&'a Id>,
}

impl<'a> From<&'a Message> for About<'a> {
    fn from(message: &'a Message) -> About<'a> {
        About { method: message.method(), id: message.id() }
    }
}

impl<'a> From<Option<&'a CallSummary>> for About<'a> {
    fn from(call: Option<&'a CallSummary>) -> About<'a> {
        About { method: call.map(|call| &*call.method), id: call.map(|call| &call.id) }
    }
}

/// Records that a server failed to answer, and says so.
pub(crate) fn failed(
    recorder: &Recorder,
    server: &str,
    session: &str,
    About { method, id }: About<'_>,
    (rule, why): (&'static str, String),
) -> Refusal {
    let fields = serde_json::json!({
        "server": server, "session": session, "decision": "deny", "rule": rule, "why": why,
        "method": method, "request": id.map(ToString::to_string),
    });
    settle(recorder.note("upstream.failed", &fields), rule, why, CODE_UPSTREAM)
}

/// Records and refuses what a client says beside its messages; `fields` say of what.
pub(crate) fn beside(
    recorder: &Recorder,
    mut fields: serde_json::Value,
    (rule, why): (&'static str, String),
    code: i64,
) -> Refusal {
    if let Some(fields) = fields.as_object_mut() {
        fields.extend(
            [("decision", "deny"), ("rule", rule), ("why", &why)].map(|(key, text)| (key.to_owned(), text.into())),
        );
    }
    settle(recorder.note("headers", &fields), rule, why, code)
}

/// A message that the gateway itself originates, such as the answer to a `ping`; recorded like any other.
pub(crate) fn own(recorder: &Recorder, server: &str, session: &str, json: String) -> Result<Admitted, Refusal> {
    record_own(recorder, server, session, own_message(json))
}

/// The same for a response: if it cannot be recorded, whoever asked is told that instead, under the same id.
pub(crate) fn own_response(recorder: &Recorder, server: &str, session: &str, json: String) -> Admitted {
    let message = own_message(json);
    let id = message.id().cloned();
    record_own(recorder, server, session, message).unwrap_or_else(|refusal| refusal.answer(id.as_ref(), None))
}

fn record_own(recorder: &Recorder, server: &str, session: &str, message: Message) -> Result<Admitted, Refusal> {
    let fields = serde_json::json!({
        "server": server, "session": session, "bytes": message.bytes().len(),
        "method": message.method(), "request": message.id().map(ToString::to_string),
    });
    match recorder.note("own", &fields) {
        Ok(_receipt) => Ok(Admitted::of(message)),
        Err(_) => Err(unrecorded()),
    }
}

fn settle(receipt: Result<Receipt, AuditError>, rule: &'static str, why: String, code: i64) -> Refusal {
    match receipt {
        Ok(receipt) => {
            Refusal { receipt: Some(receipt), rule, why, code, asking: None, max_age: None, paid: None, ran: Ran::No }
        }
        Err(_) => unrecorded(),
    }
}

fn log_failed() -> NotAdmitted {
    NotAdmitted::Refused(unrecorded())
}

/// The rule for what cannot be recorded.
const UNRECORDED: &str = "gateway.log_unwritable";

/// Nothing passes without a record, so a log that fails stops everything; only this sentence leaves.
/// The recorder has said why.
fn unrecorded() -> Refusal {
    Refusal {
        receipt: None,
        rule: UNRECORDED,
        why: "the audit log cannot be written, and nothing passes without a record".to_owned(),
        code: CODE_OURS,
        asking: None,
        max_age: None,
        paid: None,
        ran: Ran::No,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refused_answer_says_that_its_tool_has_run() {
        let parse = |text: &str| Message::parse(text.to_owned(), &OWN).unwrap();
        let call = |method: &str| {
            CallSummary::of(&parse(&format!(
                r#"{{"jsonrpc":"2.0","id":7,"method":"{method}","params":{{"name":"pay"}}}}"#
            )))
        };
        let answer = |body: &str| parse(&format!(r#"{{"jsonrpc":"2.0","id":7,{body}}}"#));
        for (method, body, ran) in [
            ("tools/call", r#""result":{"content":[]}"#, Ran::Yes),
            ("tools/call", r#""result":{"content":[],"isError":true}"#, Ran::Yes),
            ("tools/call", r#""result":{"task":{"taskId":"t"}}"#, Ran::Perhaps),
            ("tools/call", r#""error":{"code":1,"message":"x"}"#, Ran::Perhaps),
            ("resources/read", r#""result":{"contents":[]}"#, Ran::No),
        ] {
            assert_eq!(Ran::of(&answer(body), call(method).as_ref()), ran, "{method} {body}");
        }
        assert_eq!(Ran::of(&answer(r#""result":{}"#), None), Ran::No);
        let refusal = counted("secrets.github_token", "it holds a secret".to_owned(), CODE_DENIED);
        let sentence = "Blocked by bartizan: it holds a secret (secrets.github_token).";
        assert_eq!(refusal.sentence(), sentence);
        let told = refusal.after(Ran::Yes).sentence();
        assert_eq!(
            told,
            format!(
                "{sentence} The tool has run and only its answer is withheld: do not make the call again to get it."
            )
        );
    }

    #[test]
    fn a_refused_call_is_answered_in_its_own_era() {
        let (why, code) = ("too many".to_owned(), CODE_DENIED);
        let refusal = Refusal {
            receipt: None,
            rule: "rate.tool",
            why,
            code,
            asking: None,
            max_age: None,
            paid: None,
            ran: Ran::No,
        };
        let stateless = r#""_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28"}"#;
        // With what it is called in a result, if it is one.
        for (method, params, kind) in [
            ("tools/call", r#""name":"t""#.to_owned(), Some(None)),
            ("tools/call", r#""name":"t","_meta":{"progressToken":1}"#.to_owned(), Some(None)),
            ("tools/call", format!(r#""name":"t",{stateless}"#), Some(Some("complete"))),
            ("tools/list", stateless.to_owned(), None),
        ] {
            let request = format!(r#"{{"jsonrpc":"2.0","id":7,"method":"{method}","params":{{{params}}}}}"#);
            let call = CallSummary::of(&Message::parse(request, &OWN).unwrap()).unwrap();
            let answer = refusal.answer(Some(&call.id), Some(&call));
            let result = answer.message().result();
            let found = result.map(|result| result.get("resultType").map(|kind| kind.text().into_owned()));
            assert_eq!(found, kind.map(|kind| kind.map(str::to_owned)), "{method} {params}");
            assert!(answer.bytes().windows(20).any(|text| text == b"Blocked by bartizan:"));
            assert_eq!(result.is_some(), answer.message().error().is_none());
        }
    }
}
