//! What all sessions share: the policy in force, the log, the approvals, the counters.

use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use arc_swap::ArcSwap;
use bartizan_config::Config;
use bartizan_guard::Fact;
use serde::Serialize;
use tokio::sync::watch;

use crate::abilities::Abilities;
use crate::admit::Kept;
use crate::agree::Agreements;
use crate::approvals::Approvals;
use crate::budget::Budget;
use crate::capture::Capture;
use crate::database::Database;
use crate::histories::Histories;
use crate::judge::Turns;
use crate::labels::{Conversation, Conversations, Who};
use crate::metrics::Metrics;
use crate::owners::Owners;
use crate::policy::Policy;
use crate::recorder::Recorder;
use crate::server::Server;
use crate::unconfined::Unconfined;
use crate::vault::Vault;

/// One running gateway.
pub struct Gateway {
    /// What decides; swapped whole when the configuration is reloaded.
    pub policy: ArcSwap<Policy>,
    /// The configuration in force, for trials of it; none where none can be made.
    pub(crate) config: watch::Sender<Option<Arc<Config>>>,
    /// The audit log.
    pub recorder: Arc<Recorder>,
    /// The approved definitions.
    pub approvals: Approvals,
    /// Where they are kept.
    pub(crate) lock: PathBuf,
    /// The option that names that place in a command, with a space in front; empty if it is found without.
    pub(crate) lock_option: Arc<str>,
    /// The store.
    pub(crate) database: Arc<Database>,
    /// What pseudonyms stand for.
    pub(crate) vault: Vault,
    /// What people agree to before it is done.
    pub(crate) agreements: Agreements,
    /// What is captured of what clients ask, if anything.
    pub(crate) capture: Capture,
    /// What tools have brought so far.
    pub(crate) histories: Histories,
    /// What conversations are labelled with.
    pub(crate) conversations: Conversations,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// How many large messages are judged at once; the others wait in line.
    pub(crate) turns: Turns,
    /// What messages that arrive may take together.
    pub(crate) memory: Budget,
    /// Ends a session that nobody needs, for a server that may have no more processes; set by whoever keeps sessions.
    make_room: OnceLock<Box<MakeRoom>>,
    /// Servers that may run unconfined where the configuration says so; set by whoever starts it.
    pub(crate) unconfined: OnceLock<Unconfined>,
    /// To whom servers handed out what they take back; set where there may be more than one principal.
    owners: OnceLock<Owners>,
}

/// Whether a session is ended, which leaves room for a process of this server soon.
type MakeRoom = dyn Fn(&Server) -> bool + Send + Sync;

impl Gateway {
    /// A gateway that has no sessions yet.
    #[must_use]
    pub fn new(
        policy: Policy,
        recorder: Recorder,
        approvals: Approvals,
        (lock, lock_option): (PathBuf, String),
        database: Arc<Database>,
    ) -> Arc<Gateway> {
        let memory = Budget::new(policy.limits.bytes);
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let gateway = Arc::new(Gateway {
            policy: ArcSwap::from_pointee(policy),
            config: watch::Sender::new(None),
            recorder: Arc::new(recorder),
            approvals,
            vault: Vault::new(Arc::clone(&database)),
            agreements: Agreements::new(Arc::clone(&database)),
            database,
            lock,
            lock_option: lock_option.into(),
            capture: Capture::default(),
            histories: Histories::default(),
            conversations: Conversations::default(),
            metrics: Arc::default(),
            turns: Turns::new(cores),
            memory,
            make_room: OnceLock::new(),
            unconfined: OnceLock::new(),
            owners: OnceLock::new(),
        });
        let recording = Arc::downgrade(&gateway);
        gateway.approvals.on_gone(move |lock| {
            if let Some(gateway) = recording.upgrade() {
                // That it could not be recorded has been said, and nothing passes then.
                gateway.recorder.note("lock.gone", &serde_json::json!({"lock": lock.display().to_string()})).ok();
            }
        });
        gateway
    }

    /// What has to be done about once a second for as long as it runs: what is counted gets recorded, a log that could
    /// not be written is taken up again, and what `bartizan lock update` accepted takes effect.
    pub(crate) fn tick(&self) {
        self.recorder.tick();
        self.capture.tick(&self.recorder);
        self.approvals.refresh();
    }

    /// Begins the conversation of a session; the log says so if it is labelled from the start.
    pub(crate) fn begin(&self, session: &str, who: Who<'_>) -> Arc<Conversation> {
        let conversation = self.conversations.begin(session, who, self.policy.load().pipeline.settings().labels);
        let labels = conversation.labels();
        if !labels.is_empty() {
            let (because, origin) = conversation.whence();
            let fields = Inherited {
                session,
                principal: &who.principal().id,
                labels: labels.names(),
                because: because.as_str(),
                found_in: origin.as_ref().map(|origin| &*origin.session),
                found_by: origin.as_ref().and_then(|origin| origin.entry).map(|entry| entry.to_string()),
            };
            // If the log cannot be written, nothing of the session passes either.
            self.recorder.note("session.labelled", &fields).ok();
        }
        conversation
    }

    /// Says who ends sessions where a server may have no more processes.
    pub(crate) fn on_full(&self, make_room: impl Fn(&Server) -> bool + Send + Sync + 'static) {
        self.make_room.set(Box::new(make_room)).ok();
    }

    /// Keeps principals apart from now on in what servers hand out.
    pub(crate) fn keep_apart(&self) {
        self.owners.get_or_init(Owners::default);
    }

    /// To whom servers handed out what, if that matters.
    pub(crate) fn owners(&self) -> Option<&Owners> {
        self.owners.get()
    }

    /// Has a session ended that nobody needs, so that this server may have another process soon; whether there is one.
    pub(crate) fn make_room(&self, server: &Server) -> bool {
        self.make_room.get().is_some_and(|make_room| make_room(server))
    }

    /// Stores what outlives the session: definitions seen for the first time, by a client that can do so much.
    pub(crate) async fn keep(&self, server: &Server, by: Abilities, facts: &[Fact]) -> Result<Kept, String> {
        self.approvals.keep(server, by, facts).await
    }
}

/// What the log says of a session that begins with labels.
#[derive(Serialize)]
struct Inherited<'a> {
    session: &'a str,
    principal: &'a str,
    labels: Vec<&'static str>,
    because: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    found_in: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    found_by: Option<String>,
}
