//! What is counted, in the Prometheus text format. Labels come from bounded sets only: an attacker who invents names
//! must not be able to invent time series.

use bartizan_guard::{Decision, Direction, Labels, Mode};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

/// The metrics of one gateway.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    decisions: Family<DecisionLabels, Counter>,
    failures: Family<FailureLabels, Counter>,
    refusals: Family<RefusalLabels, Counter>,
    labelled: Family<LabelOfSession, Counter>,
    mode: Family<ModeLabels, Gauge>,
    captured: Family<CaptureLabels, Counter>,
    capturing: Gauge,
    certificates: Family<TableLabels, Gauge>,
    asked: Family<AskedLabels, Counter>,
    filling: Family<FillingLabels, Counter>,
    tried: Family<TriedLabels, Gauge>,
    tried_at: Gauge,
    worse: Family<ThanLabels, Gauge>,
    trials_failed: Counter,
    /// Open client sessions.
    pub sessions: Gauge,
    /// Open client connections.
    pub connections: Gauge,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct DecisionLabels {
    server: String,
    direction: &'static str,
    decision: &'static str,
    rule: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct FailureLabels {
    server: String,
    reason: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RefusalLabels {
    reason: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct LabelOfSession {
    label: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ModeLabels {
    mode: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CaptureLabels {
    outcome: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct AskedLabels {
    layer: &'static str,
    outcome: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct FillingLabels {
    server: String,
    of: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct TableLabels {
    table: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct TriedLabels {
    kind: &'static str,
    fate: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ThanLabels {
    than: &'static str,
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::with_prefix("bartizan");
        let decisions = Family::default();
        registry.register("decisions", "Messages by what was decided and the rule that decided", decisions.clone());
        let failures = Family::default();
        registry.register("upstream_failures", "Requests that a server failed to answer", failures.clone());
        let refusals = Family::default();
        let what =
            "Requests that were refused before there was a message, by the rule, such as why a token is not good";
        registry.register("refusals", what, refusals.clone());
        let labelled = Family::default();
        registry.register("sessions_labelled", "Labels that a message has raised on a session", labelled.clone());
        let mode = Family::default();
        registry.register("mode", "1 for the mode that is in force", mode.clone());
        let captured = Family::default();
        registry.register(
            "capture_records",
            "Messages that were to be captured, by what became of that",
            captured.clone(),
        );
        let capturing = Gauge::default();
        registry.register("capture", "1 while messages are captured", capturing.clone());
        let certificates = Family::default();
        let what = "Whole days until the certificate in force ends, by the table with the address; below 0 if it has";
        registry.register("certificate_days_left", what, certificates.clone());
        let asked = Family::default();
        let what = "Doubtful texts that a layer was to be asked about, by what came of that";
        registry.register("opinions", what, asked.clone());
        let filling = Family::default();
        let what =
            "How often a server left little room for pseudonyms, by whose room it is: all of a tenant's or its own";
        registry.register("pseudonyms_filling", what, filling.clone());
        let (tried, tried_at, worse, trials_failed) =
            (Family::default(), Gauge::default(), Family::default(), Counter::default());
        let what = "Texts of the last trial of the configuration, by what became of them";
        registry.register("redteam_texts", what, tried.clone());
        registry.register("redteam_last_timestamp_seconds", "When that was; 0 if never", tried_at.clone());
        let what = "Of how many families of attacks less was stopped then, by what it is held against; and 1 more if \
                    more honest texts were";
        registry.register("redteam_worse", what, worse.clone());
        registry.register(
            "redteam_failures",
            "Trials that could not be made, or held against anything",
            trials_failed.clone(),
        );
        let sessions = Gauge::default();
        registry.register("sessions", "Open client sessions", sessions.clone());
        let connections = Gauge::default();
        registry.register("connections", "Open client connections", connections.clone());
        Metrics {
            registry,
            decisions,
            failures,
            refusals,
            labelled,
            mode,
            captured,
            capturing,
            certificates,
            asked,
            filling,
            tried,
            tried_at,
            worse,
            trials_failed,
            sessions,
            connections,
        }
    }
}

/// Counts what passes a server unhindered, which is nearly everything, without looking the counter up each time.
#[derive(Debug)]
pub(crate) struct Passing {
    to_server: Counter,
    to_client: Counter,
}

impl Passing {
    /// Counts one message.
    pub(crate) fn count(&self, direction: Direction) {
        match direction {
            Direction::ToServer => self.to_server.inc(),
            Direction::ToClient => self.to_client.inc(),
        };
    }
}

impl Metrics {
    /// The counters of what passes this server.
    pub(crate) fn passing(&self, server: &str) -> Passing {
        let of = |direction: Direction| {
            let (server, direction) = (server.to_owned(), direction.as_str());
            let labels = DecisionLabels { server, direction, decision: Decision::Allow.as_str(), rule: "" };
            self.decisions.get_or_create_owned(&labels)
        };
        Passing { to_server: of(Direction::ToServer), to_client: of(Direction::ToClient) }
    }

    /// Counts a decision. Server names come from the configuration, the rest from the code.
    pub(crate) fn decided(&self, server: &str, direction: &'static str, decision: &'static str, rule: &'static str) {
        let labels = DecisionLabels { server: server.to_owned(), direction, decision, rule };
        self.decisions.get_or_create(&labels).inc();
    }

    /// Says how long the certificate of an address is good.
    pub(crate) fn set_certificate(&self, table: &'static str, days: i64) {
        self.certificates.get_or_create(&TableLabels { table }).set(days);
    }

    /// Counts that a server has left little room for pseudonyms. Its name comes from the configuration.
    pub(crate) fn pseudonyms_filling(&self, server: &str, of: &'static str) {
        self.filling.get_or_create(&FillingLabels { server: server.to_owned(), of }).inc();
    }

    /// Counts a server's failure.
    pub(crate) fn failed(&self, server: &str, reason: &'static str) {
        self.failures.get_or_create(&FailureLabels { server: server.to_owned(), reason }).inc();
    }

    /// Counts a request that was refused before there was a message.
    pub(crate) fn refused(&self, reason: &'static str) {
        self.refusals.get_or_create(&RefusalLabels { reason }).inc();
    }

    /// Counts what a session was labelled with.
    pub(crate) fn labelled(&self, raised: Labels) {
        for label in raised.iter() {
            self.labelled.get_or_create(&LabelOfSession { label: label.as_str() }).inc();
        }
    }

    /// Says which mode is in force.
    pub(crate) fn set_mode(&self, in_force: Mode) {
        for mode in [Mode::Enforce, Mode::Observe] {
            self.mode.get_or_create(&ModeLabels { mode: mode.as_str() }).set((mode == in_force).into());
        }
    }

    /// How many texts of the last trial became that.
    pub(crate) fn tried(&self, kind: &'static str, fate: &'static str, count: usize) {
        self.tried.get_or_create(&TriedLabels { kind, fate }).set(i64::try_from(count).unwrap_or(i64::MAX));
    }

    /// When the last trial was.
    pub(crate) fn set_tried_at(&self, seconds: i64) {
        self.tried_at.set(seconds);
    }

    /// In how much the last trial was worse.
    pub(crate) fn set_worse(&self, than: &'static str, count: usize) {
        self.worse.get_or_create(&ThanLabels { than }).set(i64::try_from(count).unwrap_or(i64::MAX));
    }

    /// Counts a trial that could not be made.
    pub(crate) fn trial_failed(&self) {
        self.trials_failed.inc();
    }

    /// Counts a message that was to be captured.
    pub(crate) fn captured(&self, outcome: &'static str) {
        self.captured.get_or_create(&CaptureLabels { outcome }).inc();
    }

    /// Says whether messages are captured.
    pub(crate) fn capturing(&self, is_on: bool) {
        self.capturing.set(is_on.into());
    }

    /// Counts a text that a layer was to be asked about.
    pub(crate) fn asked(&self, layer: &'static str, outcome: &'static str) {
        self.asked.get_or_create(&AskedLabels { layer, outcome }).inc();
    }

    /// All of them as text.
    #[must_use]
    pub fn render(&self) -> String {
        let mut text = String::new();
        // Writing to a string cannot fail.
        prometheus_client::encoding::text::encode(&mut text, &self.registry).ok();
        text
    }
}
