//! Writes what was decided about each message into the audit log, before the message moves.
//!
//! No content: a message is named by its size and a keyed digest, a finding by its rule, its path, its span and a keyed
//! digest of what stands there. Only an operator who asks for quotes gets the beginning of that.

mod known;
mod strays;

use std::borrow::Cow;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bartizan_audit::{At, AuditError, Entry, Id, Level, Log, Receipt, RefusalCounter, RefusalSummary};
use bartizan_guard::{Direction, Event, Finding, Judged, Labels, Timestamp, plain_uri};
use bartizan_mcp::{Document, Kind, PartKind, Rejection};
use serde::Serialize;

use self::known::{Known, Shown};
use self::strays::Strays;
use crate::clock;
use crate::digest::Digests;
use crate::unread::Unread;

/// Bytes that an entry gives to the place of a finding. Keys may be as long as the message, and an entry has to fit a
/// line with as many findings as there are, with every byte escaped: what does not fit could not be recorded, and so
/// could not be refused in the open either.
const PLACE: usize = 256;
/// Bytes that it gives to a reason; some quote what a server defines.
const REASON: usize = 300;

/// Bytes that the name of a definition may take in JSON to be written with a finding. A piece of one would be a wrong name.
const SUBJECT: usize = 160;

/// The log with all that is needed to write entries.
pub struct Recorder {
    log: Log,
    digests: Digests,
    ids: IdSource,
    refusals: Mutex<Refusals>,
    strays: Mutex<Strays>,
    /// Whether reasons may quote what was found.
    quotes: AtomicBool,
    /// Entries that could not be written since the last that could.
    lost: AtomicU64,
    /// Whether it has been said that the log cannot be written.
    said: AtomicBool,
    /// Whether it began with this start.
    is_new: bool,
    /// Whether it was said that entries are without a checkpoint.
    is_behind: AtomicBool,
}

/// Requests that were refused before anybody was identified, and the id of the entry in which those of this second will be.
#[derive(Default)]
struct Refusals {
    counter: RefusalCounter,
    id: Option<Id>,
    /// Names that are not the gateway's by which requests of this second have called it.
    hosts: Vec<String>,
}

/// So many of them are recorded, and so much of each, in bytes.
const HOSTS: (usize, usize) = (3, 100);

/// What was counted in a second that is over, and the id under which it was said to be recorded, if it was.
type Counted = (Summary, Option<Id>);

/// The same as an entry holds it.
#[derive(Serialize)]
struct Summary {
    #[serde(flatten)]
    counted: RefusalSummary,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    hosts: Vec<String>,
}

impl Recorder {
    /// Opens the log.
    ///
    /// # Errors
    /// What the log says, or that there is no randomness for the digest key.
    pub fn open<'a>(log: impl Into<At<'a>>, options: &bartizan_audit::Options) -> Result<Recorder, AuditError> {
        let (log, recovery) = Log::open(log, options)?;
        if let Some(why) = recovery.anew {
            tracing::warn!("the tree over the audit log was made anew from its entries: {why}");
        }
        if !recovery.torn.is_empty() {
            tracing::warn!(
                pieces = recovery.torn.len(),
                "the audit log ended in an unfinished entry, which was cut off"
            );
        }
        let mut seed = [0; 48];
        getrandom::fill(&mut seed).map_err(AuditError::Random)?;
        let (key, ids) = seed.split_at(32);
        let mut digest_key = [0; 32];
        digest_key.copy_from_slice(key);
        let (refusals, strays) = (Mutex::default(), Mutex::default());
        Ok(Recorder {
            log,
            // A new key with each start: digests tell equal messages of one run apart and confirm no guess afterwards.
            digests: Digests::new(&digest_key),
            ids: IdSource::new(ids),
            refusals,
            strays,
            quotes: AtomicBool::new(false),
            lost: AtomicU64::new(0),
            said: AtomicBool::new(false),
            is_new: recovery.created,
            is_behind: AtomicBool::new(false),
        })
    }

    /// Whether there was no log before.
    pub(crate) fn is_new(&self) -> bool {
        self.is_new
    }

    /// The log, to ask for its state.
    #[must_use]
    pub fn log(&self) -> &Log {
        &self.log
    }

    /// Whether entries quote what was found, as the operator wants it from now on.
    pub fn set_quotes(&self, quotes: bool) {
        self.quotes.store(quotes, Ordering::Relaxed);
    }

    /// Whether entries may quote what messages and servers say.
    pub(crate) fn quotes(&self) -> bool {
        self.quotes.load(Ordering::Relaxed)
    }

    /// Records what became of one message.
    pub(crate) fn message(
        &self,
        event: &Event<'_>,
        session: &str,
        outcome: &Outcome<'_>,
    ) -> Result<Receipt, AuditError> {
        let message = event.message;
        let bytes = message.bytes();
        let document = message.document();
        let method = message.method().or_else(|| event.answers.map(|call| &*call.method));
        let tool = event.tool();
        let known = Known::of(event);
        let places: Vec<_> = outcome.findings.iter().map(|judged| judged.finding.at).collect();
        let places = document.pointers_within(&places, PLACE);
        let findings: Vec<_> = outcome
            .findings
            .iter()
            .zip(places)
            .map(|(judged, at)| FindingFields {
                rule: judged.finding.rule.id,
                own: judged.finding.own.as_deref(),
                action: judged.action.as_str(),
                would: judged.would.map(bartizan_guard::Action::as_str),
                by: judged.by,
                subject: subject(&judged.finding).filter(|name| is_short(name)).map(|name| known.hidden(name)),
                at: known.hidden(at.into()).into_owned(),
                span: judged.finding.span.as_ref().map(|span| [span.start, span.end]),
                digest: self.evidence(document, &judged.finding),
                confidence: judged.finding.confidence.thousandths(),
                why: known.hidden(cut(self.said(&judged.finding))),
            })
            .collect();
        // Of a refusal the reason is that of the finding which decided.
        let decisive = |why| outcome.findings.iter().map(|judged| &judged.finding).find(|finding| finding.why == why);
        let why = outcome.why.map(|why| known.hidden(cut(decisive(why).map_or(why, |finding| self.said(finding)))));
        let request = message.id().or_else(|| event.answers.map(|call| &call.id));
        let fields = MessageFields {
            direction: event.direction.as_str(),
            principal: &event.principal.id,
            server: &event.server.name,
            session,
            form: form(message.kind()),
            method: method.map(|method| known.hidden(method.into())),
            tool: tool.as_deref(),
            request: request.map(|id| if known.is_in(id) { Shown::Hidden } else { Shown::Id(id) }),
            bytes: bytes.len(),
            digest: self.digests.of(bytes),
            decision: outcome.decision,
            rule: outcome.rule,
            why,
            approval: outcome.approval,
            policies: outcome.policies,
            permitted_by: outcome.permitted_by.map(|policies| policies.iter().map(|policy| cut(policy)).collect()),
            labels: outcome.labels.0.names(),
            raises: outcome.labels.1.names(),
            findings,
        };
        self.append("message", event.now, &fields)
    }

    /// The reason of a finding, in the words that the operator wants to read.
    fn said<'a>(&self, finding: &'a Finding) -> &'a str {
        finding.quoting.as_deref().filter(|_| self.quotes()).unwrap_or(&finding.why)
    }

    /// The digest of the text that was found: the span, or all of it where nothing smaller can be named. What is about a
    /// whole value is named by its path.
    fn evidence(&self, document: &Document, finding: &Finding) -> Option<String> {
        let span = match &finding.span {
            Some(span) if !span.is_empty() => Some(span.clone()),
            None if finding.quoting.is_some() => None,
            _ => return None,
        };
        let text = document.value(finding.at).as_str()?;
        let found = span.map_or(Some(&*text), |span| text.get(span))?;
        Some(self.digests.of(found.as_bytes()))
    }

    /// Records a message that could not be read.
    pub(crate) fn unreadable(&self, what: &Unreadable<'_>) -> Result<Receipt, AuditError> {
        let fields = UnreadableFields {
            direction: what.direction.as_str(),
            principal: what.principal,
            server: what.server,
            session: what.session,
            bytes: what.bytes.size,
            at_least: !what.bytes.ended,
            digest: self.digests.of(what.bytes),
            decision: "deny",
            rule: what.rejection.fault.rule(),
            why: what.rejection.to_string(),
        };
        self.append("unreadable", clock::now(), &fields)
    }

    /// Records something that is no message: a start, a stop, a server's death, a new configuration.
    ///
    /// # Errors
    /// If the log cannot be written.
    pub fn note<F: Serialize>(&self, kind: &str, fields: &F) -> Result<Receipt, AuditError> {
        let now = clock::now();
        match self.append(kind, now, fields) {
            // That it happened is recorded, however much there was to say about it.
            Err(AuditError::TooLarge { bytes, .. }) => {
                self.append(kind, now, &serde_json::json!({ "omitted_bytes": bytes }))
            }
            appended => appended,
        }
    }

    /// Counts a request that was refused before anybody was identified; the id of the entry that will hold it, unless the
    /// log cannot be written.
    pub(crate) fn count_refusal(&self, source: &str, rule: &'static str) -> Option<Id> {
        let now = clock::now();
        let (ended, id) = {
            let mut refusals = self.refusals();
            let ended = refusals.counter.record(source, rule, now.0);
            let ended = ended.map(|counted| refusals.summary(counted));
            (ended, *refusals.id.get_or_insert_with(|| self.ids.next(now)))
        };
        self.counted("edge.refused", ended, now);
        (self.log.state() == bartizan_audit::State::Writing).then_some(id)
    }

    /// Notes by which name somebody has called the gateway whose refusal was counted just now.
    pub(crate) fn note_host(&self, host: &str) {
        let mut refusals = self.refusals();
        let host = host.get(..host.floor_char_boundary(HOSTS.1)).unwrap_or_default();
        // None that is counted already is none of the next second.
        if refusals.id.is_some() && refusals.hosts.len() < HOSTS.0 && !refusals.hosts.iter().any(|known| known == host)
        {
            refusals.hosts.push(host.to_owned());
        }
    }

    fn refusals(&self) -> MutexGuard<'_, Refusals> {
        self.refusals.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether a message of the server's that goes nowhere because of `rule` is to be recorded by itself; if not, it has
    /// been counted.
    pub(crate) fn records_stray(&self, server: &Arc<str>, rule: &'static str) -> bool {
        let now = clock::now();
        let (records, summary) = self.strays.lock().unwrap_or_else(PoisonError::into_inner).note(server, rule, now);
        self.counted("upstream.strays", summary.map(plain), now);
        records
    }

    /// Writes the counts of the second that has ended, if any, and takes up a log that could not be written.
    pub fn tick(&self) {
        let now = clock::now();
        let refused = self.refusals().ended(|counter| counter.tick(now.0));
        let strays = self.strays.lock().unwrap_or_else(PoisonError::into_inner).counter.tick(now.0);
        self.counted("edge.refused", refused, now);
        self.counted("upstream.strays", strays.map(plain), now);
        self.report_behind();
    }

    /// Writes what is counted of the second that goes on; there will be no other.
    pub(crate) fn last_tick(&self) {
        let now = clock::now();
        let refused = self.refusals().ended(RefusalCounter::take);
        let strays = self.strays.lock().unwrap_or_else(PoisonError::into_inner).counter.take();
        self.counted("edge.refused", refused, now);
        self.counted("upstream.strays", strays.map(plain), now);
    }

    fn counted(&self, kind: &str, ended: Option<Counted>, now: Timestamp) {
        if let Some((summary, id)) = ended {
            // What became of it has been said.
            self.append_as(id.unwrap_or_else(|| self.ids.next(now)), kind, now, &summary).ok();
        }
        self.resume(now);
    }

    /// Says once that there are no checkpoints of what is recorded, and once that there are again.
    fn report_behind(&self) {
        let behind = self.log.behind();
        if behind.is_some() == self.is_behind.swap(behind.is_some(), Ordering::Relaxed) {
            return;
        }
        match behind {
            Some(why) => tracing::error!("what is recorded is without a checkpoint: {why}"),
            None => tracing::info!("what is recorded has a checkpoint again"),
        }
    }

    /// Tries whether a log that failed can be written again, and records how many entries it lacks. Without a try of
    /// our own, a gateway that is sent nothing while it says that it is not ready would never be ready again.
    fn resume(&self, now: Timestamp) {
        let lost = self.lost.load(Ordering::Relaxed);
        if lost > 0 && self.is_resumed(lost, now) {
            // What was lost meanwhile is still to be told.
            self.lost.fetch_sub(lost, Ordering::Relaxed);
            self.said.store(false, Ordering::Relaxed);
            tracing::info!(lost, "the audit log can be written again");
        } else if lost == 0 && self.log.state() == bartizan_audit::State::Writing {
            self.said.store(false, Ordering::Relaxed);
        }
    }

    /// Waits until the entry is on disk.
    ///
    /// # Errors
    /// If it cannot be put there.
    pub async fn durable(&self, receipt: Receipt) -> Result<Receipt, AuditError> {
        self.at_least(Level::Durable, receipt).await
    }

    /// Waits until the entry is on disk, if more than `Written` is asked.
    pub(crate) async fn at_least(&self, level: Level, receipt: Receipt) -> Result<Receipt, AuditError> {
        if receipt.level() >= level {
            return Ok(receipt);
        }
        self.log.make_durable(receipt).await.inspect_err(|error| self.report(error))
    }

    fn append<F: Serialize + ?Sized>(&self, kind: &str, at: Timestamp, fields: &F) -> Result<Receipt, AuditError> {
        self.append_as(self.ids.next(at), kind, at, fields)
    }

    fn append_as<F: Serialize + ?Sized>(
        &self,
        id: Id,
        kind: &str,
        at: Timestamp,
        fields: &F,
    ) -> Result<Receipt, AuditError> {
        let written = self.log.append(&Entry { id, at_micros: at.0, kind, fields });
        if let Err(error) = &written {
            self.lost.fetch_add(1, Ordering::Relaxed);
            self.report(error);
        }
        written
    }

    /// Says once that the log cannot be written, however many messages are refused until it can.
    fn report(&self, error: &AuditError) {
        // Of one entry, not of the log.
        if matches!(error, AuditError::TooLarge { .. }) {
            tracing::error!(%error, "an entry cannot be written");
        } else if !self.said.swap(true, Ordering::Relaxed) {
            let until = match self.log.state() {
                bartizan_audit::State::Dead => "bartizan is started again",
                bartizan_audit::State::Writing | bartizan_audit::State::Failed => "it can",
            };
            tracing::error!(%error, "the audit log cannot be written; nothing passes until {until}");
        }
    }

    fn is_resumed(&self, lost: u64, now: Timestamp) -> bool {
        let (kind, fields) = ("log.resumed", &serde_json::json!({ "lost": lost }));
        self.log.append(&Entry { id: self.ids.next(now), at_micros: now.0, kind, fields }).is_ok()
    }
}

impl Refusals {
    /// What the counter gives back, with the id that was named for it.
    fn ended(&mut self, of: impl FnOnce(&mut RefusalCounter) -> Option<RefusalSummary>) -> Option<Counted> {
        of(&mut self.counter).map(|counted| self.summary(counted))
    }

    fn summary(&mut self, counted: RefusalSummary) -> Counted {
        (Summary { counted, hosts: std::mem::take(&mut self.hosts) }, self.id.take())
    }
}

fn plain(counted: RefusalSummary) -> Counted {
    (Summary { counted, hosts: Vec::new() }, None)
}

/// A reason as an entry holds it.
fn cut(why: &str) -> Cow<'_, str> {
    match why.get(..why.floor_char_boundary(REASON)) {
        Some(head) if head.len() < why.len() => Cow::Owned(format!("{head}…")),
        _ => Cow::Borrowed(why),
    }
}

/// What a finding is about, by its name, or by its URI without what may be secret in it.
fn subject(finding: &Finding) -> Option<Cow<'_, str>> {
    let subject = finding.subject.as_deref()?;
    let is_name = matches!(
        finding.kind,
        PartKind::ToolDefinition | PartKind::PromptDefinition | PartKind::Instructions | PartKind::Other
    );
    Some(if is_name { Cow::Borrowed(subject) } else { plain_uri(subject) })
}

fn is_short(name: &str) -> bool {
    name.len() < SUBJECT && bartizan_mcp::quote(name).len() <= SUBJECT
}

/// What was decided, in the words of the log.
pub(crate) struct Outcome<'a> {
    pub(crate) decision: &'static str,
    pub(crate) rule: Option<&'static str>,
    pub(crate) why: Option<&'a str>,
    pub(crate) findings: &'a [Judged],
    /// The request for approval that it waits for, or because of which it passes.
    pub(crate) approval: Option<&'a str>,
    /// The version of the policies by which it was judged, if there are any.
    pub(crate) policies: Option<&'a str>,
    /// Those of them that permit what it asks for, if it passes and they decide about it.
    pub(crate) permitted_by: Option<&'a [Arc<str>]>,
    /// What the session was labelled with when it was judged, and what it is since.
    pub(crate) labels: (Labels, Labels),
}

impl<'a> Outcome<'a> {
    /// A refusal that no guard decided.
    pub(crate) fn refusal(rule: &'static str, why: &'a str) -> Outcome<'a> {
        let (rule, why, labels) = (Some(rule), Some(why), (Labels::NONE, Labels::NONE));
        Outcome {
            decision: "deny",
            rule,
            why,
            findings: &[],
            approval: None,
            policies: None,
            permitted_by: None,
            labels,
        }
    }
}

/// A message that the scanner refused.
pub(crate) struct Unreadable<'a> {
    pub(crate) direction: Direction,
    pub(crate) principal: &'a str,
    pub(crate) server: &'a str,
    pub(crate) session: &'a str,
    pub(crate) bytes: &'a Unread,
    pub(crate) rejection: &'a Rejection,
}

#[derive(Serialize)]
struct MessageFields<'a> {
    direction: &'static str,
    principal: &'a str,
    server: &'a str,
    session: &'a str,
    form: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    method: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tool: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    request: Option<Shown<'a>>,
    bytes: usize,
    digest: String,
    decision: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    rule: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    why: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    approval: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    policies: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    permitted_by: Option<Vec<Cow<'a, str>>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    labels: Vec<&'static str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    raises: Vec<&'static str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    findings: Vec<FindingFields<'a>>,
}

#[derive(Serialize)]
struct FindingFields<'a> {
    rule: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    own: Option<&'a str>,
    action: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    would: Option<&'static str>,
    by: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    subject: Option<Cow<'a, str>>,
    at: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    span: Option<[usize; 2]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    digest: Option<String>,
    confidence: u16,
    why: Cow<'a, str>,
}

#[derive(Serialize)]
struct UnreadableFields<'a> {
    direction: &'static str,
    principal: &'a str,
    server: &'a str,
    session: &'a str,
    bytes: u64,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    at_least: bool,
    digest: String,
    decision: &'static str,
    rule: &'static str,
    why: String,
}

fn form(kind: Kind) -> &'static str {
    match kind {
        Kind::Request => "request",
        Kind::Notification => "notification",
        Kind::Result => "result",
        Kind::Error => "error",
    }
}

/// Ids that nobody outside can guess: a random start for each process, then counted up.
struct IdSource {
    high: u16,
    low: AtomicU64,
}

impl IdSource {
    fn new(seed: &[u8]) -> Self {
        let number = seed.iter().fold(0_u128, |number, byte| number << 8 | u128::from(*byte));
        IdSource { high: (number >> 64) as u16, low: AtomicU64::new(number as u64) }
    }

    fn next(&self, at: Timestamp) -> Id {
        let low = self.low.fetch_add(0x9E37_79B9_7F4A_7C15, Ordering::Relaxed);
        let mut random = [0; 10];
        let bytes = self.high.to_be_bytes().into_iter().chain(low.to_be_bytes());
        random.iter_mut().zip(bytes).for_each(|(slot, byte)| *slot = byte);
        Id::new(at.0, random)
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::LazyLock;

    use bartizan_guard::{Action, Pins, Principal, RuleSpec, ServerProfile, Severity, Verdict};
    use bartizan_mcp::{Limits, Message, PartKind};

    use super::*;

    static RULE: RuleSpec = RuleSpec::new("test.rule", Severity::Low, Action::Deny, "For a test.");

    fn event_of(message: &Message) -> Event<'_> {
        static WHO: LazyLock<(Principal, ServerProfile)> = LazyLock::new(|| {
            let server = ServerProfile { name: "s".into(), pins: Arc::new(Pins::default()), elsewhere: [].into() };
            (Principal::new("local:alice"), server)
        });
        Event {
            message,
            direction: Direction::ToServer,
            answers: None,
            principal: &WHO.0,
            server: &WHO.1,
            evidence: &[],
            grant: None,
            now: Timestamp(0),
        }
    }

    /// What a server asks under an id and by a method that hold what it was given back, and its honest twin.
    #[test]
    fn what_a_server_was_given_back_is_in_no_entry() {
        use bartizan_guard::pseudonym::{Kind as Named, Root};
        use bartizan_guard::{Evidence, Pseudonym, Told};
        let token = Root::new(&[7; 32]).namer("t", "p").name(Named::PersonName, "Bergerac");
        let told = Told::of(vec![Pseudonym::of(token, "Bergerac".into())]).unwrap();
        let evidence = [Evidence::Told(told.into())];
        for (evidence, is_hidden) in [(&evidence[..], true), (&[], false)] {
            let directory = tempfile::tempdir().unwrap();
            let recorder = Recorder::open(directory.path(), &bartizan_audit::Options::default()).unwrap();
            let text = r#"{"jsonrpc":"2.0","id":"for-bergerac-1","method":"x/Bergerac","params":{"Bergerac":{"n":1}}}"#;
            let message = Message::parse(text.to_owned(), &Limits::default()).unwrap();
            let at = message.params().unwrap().get("Bergerac").unwrap().get("n").unwrap();
            let finding = Finding::about(&RULE, at, PartKind::Argument, "no method Bergerac").of("Bergerac");
            let findings = [Judged { finding, action: Action::Deny, would: None, by: "rule default" }];
            let event = Event { direction: Direction::ToClient, evidence, ..event_of(&message) };
            let outcome = Outcome { findings: &findings, ..Outcome::refusal(RULE.id, "no method Bergerac") };
            let receipt = recorder.message(&event, "session", &outcome).unwrap();
            let entry = entry(directory.path(), &receipt);
            assert_eq!(entry.to_string().to_lowercase().contains("bergerac"), !is_hidden, "{entry}");
            let expected = if is_hidden { known::HIDDEN } else { "for-bergerac-1" };
            assert_eq!(entry["request"], expected, "{entry}");
        }
    }

    /// Records findings below a key, and returns the entry.
    fn recorded(key: &str, why: &str, findings: usize) -> serde_json::Value {
        recorded_of("t", key, why, findings)
    }

    /// The same of a definition of that name.
    fn recorded_of(subject: &str, key: &str, why: &str, findings: usize) -> serde_json::Value {
        let directory = tempfile::tempdir().unwrap();
        let recorder = Recorder::open(directory.path(), &bartizan_audit::Options::default()).unwrap();
        let arguments = format!(r#"{{{}:{{"~/":1}}}}"#, bartizan_mcp::quote(key));
        let text = format!(
            r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{{"name":"t","arguments":{arguments}}}}}"#
        );
        let message = Message::parse(text, &Limits::default()).unwrap();
        let at = message.params().unwrap().get("arguments").unwrap().get(key).unwrap().get("~/").unwrap();
        let event = event_of(&message);
        let judged = || {
            let finding = Finding::about(&RULE, at, PartKind::Argument, why).of(subject);
            Judged { finding, action: Action::Deny, would: Some(Action::Deny), by: "rule default" }
        };
        let findings: Vec<_> = (0..findings).map(|_| judged()).collect();
        let outcome = Outcome { findings: &findings, ..Outcome::refusal(RULE.id, why) };
        let receipt = recorder.message(&event, "session", &outcome).unwrap();
        entry(directory.path(), &receipt)
    }

    /// Records a finding in a text that begins with `secret`, with and without quotes; the entry as it stands in the log.
    fn recorded_secret(quotes: bool, span: Option<std::ops::Range<usize>>) -> String {
        let directory = tempfile::tempdir().unwrap();
        let recorder = Recorder::open(directory.path(), &bartizan_audit::Options::default()).unwrap();
        recorder.set_quotes(quotes);
        let text = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"t","arguments":{"x":"secret"}}}"#;
        let message = Message::parse(text.to_owned(), &Limits::default()).unwrap();
        let at = message.params().unwrap().get("arguments").unwrap().get("x").unwrap();
        let event = event_of(&message);
        let mut finding = Finding::about(&RULE, at, PartKind::Argument, "6 characters");
        finding.quoting = Some("“secret”".to_owned());
        finding.span = span;
        let findings = [Judged { finding, action: Action::Deny, would: None, by: "rule default" }];
        let outcome = Outcome { findings: &findings, ..Outcome::refusal(RULE.id, "6 characters") };
        let receipt = recorder.message(&event, "session", &outcome).unwrap();
        let entry = entry(directory.path(), &receipt);
        let expected = recorder.digests.of(b"secret");
        assert_eq!(entry["findings"][0].get("digest").and_then(|digest| digest.as_str()), Some(&*expected), "{entry}");
        entry.to_string()
    }

    #[test]
    fn what_was_found_is_named_by_its_digest_and_quoted_only_on_request() {
        for span in [Some(0..6), None] {
            let silent = recorded_secret(false, span.clone());
            assert!(!silent.contains("secret") && silent.matches("6 characters").count() == 2, "{silent}");
            assert_eq!(recorded_secret(true, span).matches("“secret”").count(), 2, "the finding and the decision");
        }
    }

    fn entry(directory: &Path, receipt: &Receipt) -> serde_json::Value {
        let files = std::fs::read_dir(directory).unwrap().map(|file| file.unwrap().path());
        let text: String = files.filter_map(|file| std::fs::read_to_string(file).ok()).collect();
        let id = receipt.id().to_string();
        let line = text.lines().find(|line| line.contains(&id)).unwrap();
        serde_json::from_str(line).unwrap()
    }

    #[test]
    fn places_and_reasons_are_cut_and_short_ones_stay_whole() {
        let whole = recorded("a", "because", 1);
        assert_eq!(whole["findings"][0]["at"], "/params/arguments/a/~0~1");
        assert_eq!((&whole["findings"][0]["why"], &whole["why"]), (&"because".into(), &"because".into()));
        let long = recorded(&"ä".repeat(550_000), &"ö".repeat(550_000), 1);
        let at = long["findings"][0]["at"].as_str().unwrap();
        assert!(at.starts_with("/params/arguments/ää") && at.ends_with("ä…"), "{at}");
        assert!(at.len() <= PLACE + '…'.len_utf8());
        let why = long["why"].as_str().unwrap();
        assert_eq!((why, why.len()), (long["findings"][0]["why"].as_str().unwrap(), REASON + '…'.len_utf8()));
        assert_eq!((&long["decision"], &long["rule"]), (&"deny".into(), &RULE.id.into()));
    }

    #[test]
    fn as_many_findings_as_a_verdict_has_fit_an_entry() {
        // A control character takes six bytes in JSON, which is the most.
        let worst = "\u{1}".repeat(4_000);
        let name = "\u{1}".repeat(SUBJECT / 6 - 1);
        let held = recorded_of(&name, &worst, &worst, Verdict::MAX_FINDINGS);
        assert_eq!(held["findings"].as_array().unwrap().len(), Verdict::MAX_FINDINGS);
        assert_eq!(held["findings"][0]["subject"], name.as_str());
    }

    #[test]
    fn a_name_is_written_whole_or_not_at_all() {
        for (name, written) in
            [("read_file", true), ("ä", true), (&"n".repeat(SUBJECT), false), (&"\"".repeat(100), false)]
        {
            let held = recorded_of(name, "a", "because", 1);
            assert_eq!(held["findings"][0]["subject"].as_str(), written.then_some(name));
        }
        // But for what may be secret in a URI.
        let held = recorded_of("db://ann:secret@host/x?token=secret", "a", "because", 1);
        assert_eq!(held["findings"][0]["subject"], "db://...@host/x?...");
    }

    #[test]
    fn what_is_counted_when_the_gateway_ends_is_written() {
        let directory = tempfile::tempdir().unwrap();
        let recorder = Recorder::open(directory.path(), &bartizan_audit::Options::default()).unwrap();
        recorder.last_tick();
        // Of nothing that was counted.
        recorder.note_host("early.example");
        recorder.count_refusal("127.0.0.1", "edge.host");
        for host in ["evil.example", "evil.example", &"ü".repeat(1000), "c", "d"] {
            recorder.note_host(host);
        }
        recorder.count_refusal("127.0.0.1", "edge.host");
        recorder.last_tick();
        let files = std::fs::read_dir(directory.path()).unwrap().map(|file| file.unwrap().path());
        let text: String = files.filter_map(|file| std::fs::read_to_string(file).ok()).collect();
        let entries: Vec<serde_json::Value> = text
            .lines()
            .filter(|line| line.contains("edge.refused"))
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        // Two, if the second ended between them.
        let total: u64 = entries.iter().map(|entry| entry["total"].as_u64().unwrap()).sum();
        assert_eq!(total, 2, "{entries:?}");
        assert_eq!(entries[0]["reasons"][0]["rule"], "edge.host");
        assert_eq!(entries[0]["hosts"], serde_json::json!(["evil.example", "ü".repeat(50), "c"]));
    }

    #[test]
    fn what_happened_is_noted_however_much_there_is_to_say() {
        let directory = tempfile::tempdir().unwrap();
        let recorder = Recorder::open(directory.path(), &bartizan_audit::Options::default()).unwrap();
        let fields = serde_json::json!({ "why": "x".repeat(bartizan_audit::MAX_ENTRY_BYTES) });
        let receipt = recorder.note("server.ended", &fields).unwrap();
        let held = entry(directory.path(), &receipt);
        assert_eq!(held["kind"], "server.ended");
        assert!(held["omitted_bytes"].as_u64().unwrap() > 1 << 20);
    }
}
