//! Judges a message here and now, or, if that may take long, in its turn on another thread.

use std::sync::Arc;

use bartizan_guard::flow::Traces;
use bartizan_guard::guards::LARGE;
use bartizan_guard::{
    CallSummary, Decision, Direction, Event, Evidence, Grant, News, Principal, ServerProfile, Session, Timestamp,
    Verdict,
};
use bartizan_mcp::Message;
use tokio::sync::Semaphore;

use crate::labels::Conversation;
use crate::policy::Policy;

/// A larger message may take hundreds of times as long as a smaller one, so it waits in a line of its own.
const HEAVY: usize = 64 * 1024;

/// How many of the messages that may take long are judged at once, first come, first served.
#[derive(Debug)]
pub(crate) struct Turns {
    /// Those of more than [`HEAVY`] bytes, and what takes long whatever its size.
    pub(crate) heavy: Arc<Semaphore>,
    /// Others of more than [`LARGE`] bytes.
    large: Arc<Semaphore>,
}

impl Turns {
    /// So many of either kind.
    pub(crate) fn new(cores: usize) -> Turns {
        Turns { heavy: Arc::new(Semaphore::new(cores)), large: Arc::new(Semaphore::new(cores)) }
    }
}

/// A verdict, and what goes with it.
pub(crate) struct Judgement {
    pub(crate) verdict: Verdict,
    /// All that it was held against: what was known before, and what its conversation remembers.
    pub(crate) evidence: Vec<Evidence>,
    /// What it brings into the conversation, if it passes.
    pub(crate) news: Option<News>,
    /// What it names, if it passes.
    pub(crate) names: Option<Traces>,
}

/// Judges a message, in its turn if that may take long. Of a conversation that is given, the message is held against what it
/// remembers.
pub(crate) async fn judge(
    turns: &Turns,
    policy: &Arc<Policy>,
    event: &Event<'_>,
    (profile, session): (&Arc<ServerProfile>, &Arc<Session>),
    conversation: Option<&Arc<Conversation>>,
) -> Judgement {
    let bytes = event.message.bytes().len();
    let turns = if bytes > HEAVY || policy.pipeline.takes_long(event, session) {
        &turns.heavy
    } else if bytes > LARGE {
        &turns.large
    } else {
        return here(policy, event, session, conversation.map(|held| &**held));
    };
    // The semaphore is never closed.
    let turn = Arc::clone(turns).acquire_owned().await;
    let case = Case::of(event, profile, session);
    let (there, held) = (Arc::clone(policy), conversation.map(Arc::clone));
    let judging = move || {
        // Held for as long as the work goes on: whoever asked for it may have hung up.
        let _turn = turn;
        case.judge(&there, held.as_deref())
    };
    match tokio::task::spawn_blocking(judging).await {
        Ok(judgement) => judgement,
        // The runtime is shutting down; what is judged last is judged here.
        Err(_) => here(policy, event, session, conversation.map(|held| &**held)),
    }
}

/// Judges it on this thread.
fn here(policy: &Policy, event: &Event<'_>, session: &Session, conversation: Option<&Conversation>) -> Judgement {
    let follow = conversation.zip(policy.pipeline.follow());
    let traces = follow.and_then(|(conversation, follow)| conversation.traces(follow, event, session));
    let evidence: Vec<Evidence> = event.evidence.iter().cloned().chain(traces).collect();
    let event = &Event { evidence: &evidence, ..*event };
    let verdict = policy.pipeline.judge(event, session);
    let passes = matches!(verdict.decision, Decision::Allow | Decision::Transform(_));
    let follow = follow.filter(|_| passes);
    let news = follow.and_then(|(conversation, follow)| conversation.news(follow, event, session));
    let names = follow.and_then(|(conversation, follow)| conversation.names(follow, event));
    Judgement { verdict, evidence, news, names }
}

/// An event with all that it refers to, fit to be judged elsewhere. Nothing large is copied.
struct Case {
    message: Message,
    direction: Direction,
    answers: Option<CallSummary>,
    principal: Principal,
    server: Arc<ServerProfile>,
    session: Arc<Session>,
    evidence: Vec<Evidence>,
    grant: Option<Grant>,
    now: Timestamp,
}

impl Case {
    fn of(event: &Event<'_>, server: &Arc<ServerProfile>, session: &Arc<Session>) -> Case {
        Case {
            message: event.message.clone(),
            direction: event.direction,
            answers: event.answers.cloned(),
            principal: event.principal.clone(),
            server: Arc::clone(server),
            session: Arc::clone(session),
            evidence: event.evidence.to_vec(),
            grant: event.grant.cloned(),
            now: event.now,
        }
    }

    fn judge(&self, policy: &Policy, conversation: Option<&Conversation>) -> Judgement {
        let event = Event {
            message: &self.message,
            direction: self.direction,
            answers: self.answers.as_ref(),
            principal: &self.principal,
            server: &self.server,
            evidence: &self.evidence,
            grant: self.grant.as_ref(),
            now: self.now,
        };
        here(policy, &event, &self.session, conversation)
    }
}

#[cfg(test)]
mod tests {
    use std::future::Future;
    use std::task::{Context, Waker};
    use std::time::Duration;

    use bartizan_audit::Level;
    use bartizan_guard::guards::rate::Limit;
    use bartizan_guard::{Pins, Pipeline, Settings};
    use bartizan_mcp::Limits;

    use super::*;
    use crate::limiter::Limiter;

    /// What is judged, with a text of so many bytes.
    async fn judge_one(turns: Arc<Turns>, bytes: usize) {
        let policy = Policy {
            pipeline: Pipeline::new(Settings::default()).unwrap(),
            limiter: Limiter::default(),
            credential_required: false,
            limits: Limits::default(),
            said: Limit { count: 1, per_ms: 1_000 },
            level: Level::Written,
            durable_if_sensitive: false,
            approval: Default::default(),
            layers: Default::default(),
            default_profile: String::new(),
        };
        let text = format!(r#"{{"jsonrpc":"2.0","id":1,"result":{{"text":"{}"}}}}"#, "x".repeat(bytes));
        let message = Message::parse(text, &Limits::default()).unwrap();
        let profile = ServerProfile { name: "s".into(), pins: Arc::new(Pins::default()), elsewhere: Arc::from([]) };
        let (profile, principal) = (Arc::new(profile), Principal::new("anonymous"));
        let event = Event {
            message: &message,
            direction: Direction::ToClient,
            answers: None,
            principal: &principal,
            server: &profile,
            evidence: &[],
            grant: None,
            now: Timestamp(0),
        };
        judge(&turns, &Arc::new(policy), &event, (&profile, &Arc::default()), None).await;
    }

    #[test]
    fn whoever_hangs_up_gives_back_no_turn_while_the_work_goes_on() {
        // With one thread for work, which is kept busy, what is judged waits for it.
        let runtime =
            tokio::runtime::Builder::new_current_thread().max_blocking_threads(1).enable_time().build().unwrap();
        for (bytes, is_heavy) in [(HEAVY, true), (LARGE, false)] {
            runtime.block_on(async {
                let turns = Arc::new(Turns::new(1));
                let (own, others) = if is_heavy { (&turns.heavy, &turns.large) } else { (&turns.large, &turns.heavy) };
                let (free, busy) = std::sync::mpsc::channel::<()>();
                let other = tokio::task::spawn_blocking(move || busy.recv());
                {
                    let mut judging = Box::pin(judge_one(Arc::clone(&turns), bytes));
                    let mut context = Context::from_waker(Waker::noop());
                    assert!(judging.as_mut().poll(&mut context).is_pending());
                }
                assert_eq!(own.available_permits(), 0, "the client has gone, the work has not");
                // The line of the others is another one, and what is small needs no turn.
                assert_eq!(others.available_permits(), 1);
                judge_one(Arc::clone(&turns), 100).await;
                free.send(()).unwrap();
                other.await.unwrap().unwrap();
                let turn = tokio::time::timeout(Duration::from_secs(60), own.acquire()).await;
                assert!(turn.is_ok(), "the work is done");
            });
        }
    }
}
