//! Sends attacks through a configuration and says what was stopped, by what, and what came through.
//!
//! [`run`] starts the gateway of that configuration: its guards, policies, exceptions and mode, with real messages over
//! HTTP on both sides. State and servers are its own: a temporary directory holds the log, the lock file and the store, and
//! a server of its own [stands in](stand_in) for each of the configuration, so that none of those is started or called.

mod corpus;
mod home;
mod mutation;
mod range;
mod replay;
mod report;
mod stand_in;
mod suite;
mod trial;

use bartizan_config::Config;
use bartizan_guard::TextKind;

pub use corpus::{Sample, attacks, benign};
pub use home::Home;
pub use mutation::{Disguised, Mutation};
pub use range::{Caller, RangeError};
pub use replay::{Knowing, Run, replay, sums};
pub use report::{Baseline, Kept, Report, Suite, Tally, UnreadBaseline, Worse};
pub use suite::{Case, Selection, families, named};
pub use trial::{Fate, Seen};

use range::Range;
use trial::Trial;

/// How far a run has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Texts that were sent.
    pub sent: usize,
    /// Texts that are to be sent.
    pub all: usize,
}

/// Sends what is selected through the configuration, once for each of these servers, or for each it has, with state in `home`;
/// `on_text` is told of each, and the next waits until it is done.
///
/// # Errors
/// If the gateway cannot be started or tried.
pub async fn run(
    config: &Config,
    home: &Home,
    (selection, servers, caller): (&Selection, &[String], &Caller),
    mut on_text: impl AsyncFnMut(Progress),
) -> Result<Report, RangeError> {
    let known = range::names(config);
    if let Some(unknown) = servers.iter().find(|name| !known.contains(name)) {
        return Err(RangeError::NoServer(unknown.clone()));
    }
    let servers = if servers.is_empty() { known } else { servers.to_vec() };
    let (mut all, benign) = suite::cases(selection);
    let attacks = all.len();
    if attacks == 0 || benign.is_empty() {
        return Err(RangeError::Nothing);
    }
    all.extend(benign);
    let mut report = Report::new(selection, &all, &servers, &config.settings);
    let mut cases: Vec<_> = all.iter().enumerate().map(|(at, case)| (case, at < attacks)).collect();
    // Before anything is used, all that a server defines counts as seen.
    cases.sort_by_key(|(case, _)| case.sample.kind != TextKind::ToolDescription);
    let all = cases.len() * servers.len();
    let range = Range::start(config, home, caller, range::UNTRIED).await?;
    let mut sent = 0;
    for server in &servers {
        let mut trial = Trial::begin(&range, server).await?;
        for (case, is_attack) in &cases {
            let seen = trial.send(case.sample.kind, &case.sent).await?;
            report.add(server, case, *is_attack, &seen);
            sent += 1;
            on_text(Progress { sent, all }).await;
        }
        trial.end().await;
    }
    range.stop().await;
    Ok(report)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use bartizan_config::Environment;

    use super::*;

    fn config(text: &str) -> Config {
        let environment = Environment::of_process(Path::new("/nowhere"));
        Config::parse(text, "test", &environment).unwrap().0
    }

    const TWO: &str = "[server.one]\ncommand = [\"/nowhere/one\"]\n[server.two]\nurl = \"http://127.0.0.1:1/mcp\"\n";

    async fn tried(text: &str, mutations: &[Mutation], servers: &[&str], caller: Caller) -> Report {
        let mutations = mutations.to_vec();
        let selection = Selection { families: Vec::new(), mutations, sample: Some(56), seed: 7 };
        let servers: Vec<_> = servers.iter().map(|name| (*name).to_owned()).collect();
        let mut last = None;
        let report = run(&config(text), &Home::make().unwrap(), (&selection, &servers, &caller), async |progress| {
            last = Some(progress);
        })
        .await
        .unwrap();
        assert!(last.is_some_and(|last| last.sent == last.all && last.all >= 112));
        assert_eq!(report.unknown().collect::<Vec<_>>(), []);
        report
    }

    fn stopped(report: &Report) -> (usize, usize) {
        (report.attacks().stopped(), report.benign().stopped())
    }

    #[tokio::test]
    async fn what_is_hidden_is_stopped_by_default_and_nothing_is_in_mode_observe() {
        let report = tried(TWO, &[Mutation::Tags], &["one"], Caller::default()).await;
        assert_eq!((report.attacks().sent(), report.attacks().stopped()), (56, 56));
        assert_eq!(report.attacks().by().first().map(|(rule, _)| *rule), Some("hidden_text.tags"));
        assert!(report.attacks().ids().is_empty());
        let observe = format!("mode = \"observe\"\n{TWO}");
        let report = tried(&observe, &[Mutation::Tags], &["one"], Caller::default()).await;
        assert_eq!((stopped(&report), report.attacks().count(Fate::Observed)), ((0, 0), 56));
    }

    #[tokio::test]
    async fn an_exception_opens_one_server_and_marks_are_seen() {
        let open = "[guard.provenance]\nmark = \"encode\"\n[guard.hidden_text]\naction = \"observe\"\n\
                    [guard.prompt_injection]\naction = \"observe\"\n[guard.tool_poisoning]\naction = \"observe\"\n[guard.secrets]\naction = \"observe\"\n";
        let report = tried(&format!("{TWO}{open}"), &[Mutation::Plain], &["two"], Caller::default()).await;
        assert_eq!(stopped(&report), (0, 0));
        assert!(report.attacks().count(Fate::Marked) > 20, "{report:?}");
        let exception = "[[exception]]\nrule = \"hidden_text.tags\"\nserver = \"one\"\nreason = \"it is a test\"\nexpires = 2099-01-01\n";
        let report = tried(&format!("{TWO}{exception}"), &[Mutation::Tags], &[], Caller::default()).await;
        assert_eq!(report.attacks().sent(), 112);
        let of = |server: &str| report.attacks().ids().iter().filter(|id| id.starts_with(server)).count();
        // What hides it is let through there, and what else is found in it is not.
        assert!(of("one/") > 20 && of("two/") == 0, "{report:?}");
    }

    #[tokio::test]
    async fn policies_judge_who_asks() {
        let roles =
            "[role.reader]\nallow = [\"server:one\"]\n[group.readers]\nmembers = [\"ann\"]\nroles = [\"reader\"]\n";
        let text = format!("{TWO}{roles}");
        let named = |name: &str| Caller { name: Some(name.to_owned()), roles: Vec::new() };
        let report = tried(&text, &[Mutation::Plain], &["one"], named("bob")).await;
        assert!(report.benign().stopped() > 40 && report.benign().by()[0].0.starts_with("policy."), "{report:?}");
        let report = tried(&text, &[Mutation::Plain], &["one"], named("ann")).await;
        assert!(report.benign().stopped() < 15, "{report:?}");
        // In as many sessions as there are texts in which something is found, and with the same end.
        let without = tried(TWO, &[Mutation::Plain], &["one"], Caller::default()).await;
        assert_eq!(stopped(&report), stopped(&without));
    }

    #[tokio::test]
    async fn what_was_sent_before_is_no_measure_of_what_is_sent() {
        let text = format!("[guard.output_anomaly]\naction = \"deny\"\n{TWO}");
        // As many as it takes until something would be unlike those before.
        let selection =
            Selection { families: Vec::new(), mutations: vec![Mutation::Base64], sample: Some(300), seed: 7 };
        let (home, servers) = (Home::make().unwrap(), ["one".to_owned()]);
        let tried = run(&config(&text), &home, (&selection, &servers, &Caller::default()), async |_| {}).await;
        let tried = tried.unwrap();
        let by: Vec<_> = tried.benign().by().into_iter().chain(tried.attacks().by()).collect();
        assert!(!by.is_empty() && by.iter().all(|(rule, _)| !rule.starts_with("output_anomaly.")), "{by:?}");
    }

    #[tokio::test]
    async fn what_one_text_leaves_on_a_session_stops_no_other() {
        let home = Home::make().unwrap();
        let file = home.path().join("closed.cedar");
        let closed = "@id(\"closed\") forbid(principal, action in Mcp::Action::\"call\", resource)\n\
                      when { context.session.labels.contains(\"untrusted\") };\n";
        std::fs::write(&file, closed).unwrap();
        let policy = format!("[labels]\nof = \"principal\"\n[policy]\ndefault = \"permit\"\nfiles = [{file:?}]\n");
        let with = tried(&format!("{policy}{TWO}"), &[Mutation::Plain], &["one"], Caller::default()).await;
        let without = tried(TWO, &[Mutation::Plain], &["one"], Caller::default()).await;
        assert_eq!(stopped(&with), stopped(&without));
    }

    #[tokio::test]
    async fn no_judge_is_asked_who_is_elsewhere() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        // Nothing doubtful would pass without its word, and in the configuration as it stands that is meant.
        let judge = format!(
            "[detection]\nask_from = 0.0\n[detection.judge]\nurl = \"http://{address}/v1\"\nmodel = \"m\"\n\
             servers = [\"*\"]\nrequired = true\n"
        );
        let with = tried(&format!("{judge}{TWO}"), &[Mutation::Plain], &["one"], Caller::default()).await;
        let without = tried(TWO, &[Mutation::Plain], &["one"], Caller::default()).await;
        assert_eq!(stopped(&with), stopped(&without));
        assert!(listener.accept().is_err_and(|error| error.kind() == std::io::ErrorKind::WouldBlock));
    }

    #[tokio::test]
    async fn a_trial_of_nothing_is_none() {
        for (families, mutations, sample) in [
            (vec!["none".to_owned()], Mutation::ALL.to_vec(), None),
            (Vec::new(), Vec::new(), None),
            (Vec::new(), Mutation::ALL.to_vec(), Some(0)),
        ] {
            let selection = Selection { families, mutations, sample, seed: 0 };
            let home = Home::make().unwrap();
            let tried = run(&config(TWO), &home, (&selection, &[], &Caller::default()), async |_| {}).await;
            assert!(matches!(tried, Err(RangeError::Nothing)));
        }
    }

    #[tokio::test]
    async fn a_server_that_is_not_there_is_named() {
        let selection = Selection { families: Vec::new(), mutations: vec![Mutation::Plain], sample: Some(1), seed: 0 };
        let tried = run(
            &config(TWO),
            &Home::make().unwrap(),
            (&selection, &["three".to_owned()], &Caller::default()),
            async |_| {},
        )
        .await;
        assert!(matches!(tried, Err(RangeError::NoServer(name)) if name == "three"));
    }
}
