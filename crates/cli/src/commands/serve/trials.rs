//! Tries the configuration in force from time to time, as `bartizan redteam` does.
//!
//! Each trial has a thread of its own of the lowest priority, with a gateway and servers of its own on it, and rests after each
//! text for as long as that took: what is served comes first.

use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use bartizan_config::{Config, Redteam};
use bartizan_gateway::{Counted, Than, Trials, Tried};
use bartizan_redteam::{Baseline, Caller, Fate, Home, Mutation, Report, Selection, Tally, Worse};
use serde_json::Value;
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tracing::subscriber::NoSubscriber;

use crate::common::Notices;
use crate::text::count;

/// Trials that are made for as long as this is.
pub(super) struct Scheduled {
    stop: watch::Sender<bool>,
    keeping: JoinHandle<()>,
}

/// A new configuration is tried after such a part of the time between two trials, or after so much: somebody may still be at
/// work on it.
const SOON: (u32, Duration) = (20, Duration::from_secs(300));
/// The rules and the texts of one trial that are recorded.
const SOME: usize = 32;
/// The longest rest after a text.
const REST: Duration = Duration::from_secs(1);
/// How long the end of `serve` waits for that of a trial: its thread has to get its turn once more, to remove its files.
const END: Duration = Duration::from_secs(3);

impl Scheduled {
    /// Begins to keep the schedule, if there is or will be one.
    pub(super) fn begin(trials: Trials, notices: Notices) -> Scheduled {
        let (stop, stopped) = watch::channel(false);
        Scheduled { stop, keeping: tokio::spawn(keep(trials, notices, stopped)) }
    }

    /// Ends a trial that is under way after its text, and removes its files.
    pub(super) async fn end(self) {
        self.stop.send_replace(true);
        tokio::time::timeout(END, self.keeping).await.ok();
    }
}

async fn keep(trials: Trials, notices: Notices, mut stopped: watch::Receiver<bool>) {
    let mut calendar = Calendar { configs: trials.configurations(), tried: None };
    let mut last = None;
    loop {
        let due = tokio::select! {
            biased;
            _ = stopped.wait_for(|stopped| *stopped) => return,
            due = calendar.next() => due,
        };
        let Some((config, redteam)) = due else { return };
        let (tell, told) = oneshot::channel();
        let trial = Trial { trials: trials.clone(), notices, config, redteam, last };
        let stopped = stopped.clone();
        let work = move || {
            stand_back();
            tell.send(trial.make(stopped)).ok();
        };
        // A thread that has stood back may not come forward again.
        last = match thread::Builder::new().name("redteam".to_owned()).spawn(work) {
            Ok(_) => told.await.map_err(|_| "it broke off".to_owned()),
            Err(error) => Err(error.to_string()),
        }
        .unwrap_or_else(|why| {
            untried(&trials, notices, &why);
            None
        });
    }
}

/// Has this thread wait for others. Elsewhere than on Linux that would be the whole process.
fn stand_back() {
    #[cfg(target_os = "linux")]
    rustix::process::setpriority_process(None, 19).ok();
}

/// Why no trial of this configuration could be held against the file that it names, if that is so.
pub(in super::super) fn unheld(config: &Config) -> Option<String> {
    let redteam = config.redteam.as_ref()?;
    let path = redteam.baseline.as_deref()?;
    let held = Baseline::read(path).map_err(|error| error.to_string());
    held.and_then(|held| held.fits(&selection(redteam)).map_err(|why| cannot(path, &why))).err()
}

fn cannot(path: &Path, why: &str) -> String {
    format!("cannot hold it against {}: {why}", path.display())
}

/// What is sent: as `bartizan redteam` chooses if it is told nothing but how many.
fn selection(redteam: &Redteam) -> Selection {
    Selection { families: Vec::new(), mutations: Mutation::ALL.to_vec(), sample: Some(redteam.sample), seed: 0 }
}

fn untried(trials: &Trials, notices: Notices, why: &str) {
    notices.warn(&format!("bartizan: the configuration could not be tried: {why}"));
    trials.failed(why);
}

/// When trials are due.
struct Calendar {
    configs: watch::Receiver<Option<Arc<Config>>>,
    /// What was tried last.
    tried: Option<Arc<Config>>,
}

impl Calendar {
    /// Waits until the next trial is due; with the configuration that is in force then. None if there will be no more.
    async fn next(&mut self) -> Option<(Arc<Config>, Redteam)> {
        let began = Instant::now();
        // From 0.9 to 1.1 of the time: many gateways that started at once do not try at once.
        let part = f64::from(getrandom::u32().unwrap_or_default() % 201).mul_add(0.001, 0.9);
        loop {
            let config = self.configs.borrow_and_update().clone();
            let due = config.and_then(|config| config.redteam.clone().map(|redteam| (config, redteam)));
            let Some((config, redteam)) = due else {
                self.configs.changed().await.ok()?;
                continue;
            };
            let mut at = began + redteam.schedule.mul_f64(part);
            if self.tried.as_ref().is_none_or(|tried| !Arc::ptr_eq(tried, &config)) {
                at = at.min(Instant::now() + (redteam.schedule.mul_f64(part) / SOON.0).min(SOON.1));
            }
            tokio::select! {
                changed = self.configs.changed() => changed.ok()?,
                () = tokio::time::sleep_until(at) => {
                    self.tried = Some(Arc::clone(&config));
                    return Some((config, redteam));
                }
            }
        }
    }
}

/// One trial.
struct Trial {
    trials: Trials,
    notices: Notices,
    config: Arc<Config>,
    redteam: Redteam,
    /// What the one before is known to have come to.
    last: Option<Baseline>,
}

impl Trial {
    /// Makes it and says what came of it; what the next is held against.
    fn make(self, stopped: watch::Receiver<bool>) -> Option<Baseline> {
        let last = self.last.clone().or_else(|| serde_json::from_value(self.trials.last()?).ok());
        let report = match self.run(stopped)? {
            Ok(report) => report,
            Err(why) => {
                untried(&self.trials, self.notices, &why);
                return last;
            }
        };
        let baseline = report.baseline();
        self.trials.record(&told(&report, &baseline));
        if let Some((id, why)) = report.unknown().next() {
            let of = count(report.unknown().len(), "text");
            untried(&self.trials, self.notices, &format!("nobody knows what became of {of}, such as {id}: {why}"));
            return last;
        }
        let (attacks, benign) = (report.attacks(), report.benign());
        tracing::info!(
            attacks = attacks.sent(),
            stopped = attacks.stopped(),
            honest = benign.sent(),
            wrongly_stopped = benign.stopped(),
            "the configuration was tried"
        );
        if let Some(rule) = report.refused_by() {
            let text = "the trial of the configuration says little, as {rule} stops nearly all honest texts; `principal` and `roles` of \
                        [redteam] say on whose behalf it is";
            self.notices.warn(&format!("bartizan: {}", text.replace("{rule}", rule)));
        }
        self.compare(&report, last.as_ref());
        Some(baseline)
    }

    /// Sends all texts; none if it was stopped.
    fn run(&self, mut stopped: watch::Receiver<bool>) -> Option<Result<Report, String>> {
        // What the gateway that is tried has to say is nothing that anybody has to know.
        let quiet = || tracing::subscriber::set_default(NoSubscriber::new());
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        runtime.enable_all().on_thread_start(move || std::mem::forget(quiet()));
        // In this order: the directory outlives what writes to it.
        let (home, runtime) = match Home::make().and_then(|home| Ok((home, runtime.build()?))) {
            Ok(made) => made,
            Err(error) => return Some(Err(format!("cannot make a place for the trial: {error}"))),
        };
        let selection = selection(&self.redteam);
        let caller = Caller { name: self.redteam.principal.clone(), roles: self.redteam.roles.clone() };
        let mut began = Instant::now();
        let rest = async |_| {
            tokio::time::sleep(began.elapsed().min(REST)).await;
            began = Instant::now();
        };
        let _quiet = quiet();
        runtime.block_on(async {
            tokio::select! {
                biased;
                _ = stopped.wait_for(|stopped| *stopped) => None,
                made = bartizan_redteam::run(&self.config, &home, (&selection, &[], &caller), rest) => {
                    Some(made.map_err(|error| error.to_string()))
                }
            }
        })
    }

    /// Says in what it is worse than the last one, and than what an operator has written down.
    fn compare(&self, report: &Report, last: Option<&Baseline>) {
        // Where other texts were sent, nothing can be said.
        if let Some(worse) = last.and_then(|last| report.worse_than(last).ok()) {
            self.say(Than::Last, "the last time", &worse);
        }
        let Some(path) = &self.redteam.baseline else { return };
        let held = Baseline::read(path).map_err(|error| error.to_string());
        match held.and_then(|held| report.worse_than(&held).map_err(|why| cannot(path, &why))) {
            Ok(worse) => self.say(Than::Baseline, &path.display().to_string(), &worse),
            Err(why) => {
                self.notices.warn(&format!("bartizan: the configuration was tried, and that is all: {why}"));
                self.trials.failed(&why);
            }
        }
    }

    fn say(&self, than: Than, named: &str, worse: &[Worse]) {
        self.trials.worse(than, worse);
        if !worse.is_empty() {
            let all: Vec<_> = worse.iter().map(ToString::to_string).collect();
            self.notices.warn(&format!("bartizan: the configuration is worse than {named}: {}", all.join("; ")));
        }
    }
}

fn told(report: &Report, baseline: &Baseline) -> Tried {
    Tried {
        servers: report.servers().to_vec(),
        attacks: counted(report.attacks()),
        benign: counted(report.benign()),
        baseline: serde_json::to_value(baseline).unwrap_or(Value::Null),
    }
}

fn counted(tally: &Tally) -> Counted {
    Counted {
        sent: tally.sent(),
        stopped: tally.stopped(),
        marked: tally.count(Fate::Marked),
        observed: tally.count(Fate::Observed),
        through: tally.count(Fate::Through),
        unknown: tally.count(Fate::Unknown),
        by: tally.by().into_iter().take(SOME).map(|(rule, count)| (rule.to_owned(), count)).collect(),
        ids: tally.ids().iter().take(SOME).cloned().collect(),
    }
}

#[cfg(test)]
mod tests {
    use bartizan_config::Environment;

    use super::*;

    const HOUR: Duration = Duration::from_secs(3_600);

    fn config(more: &str) -> Option<Arc<Config>> {
        let environment = Environment::of_process(Path::new("/nowhere"));
        let text = format!("{more}\n[server.a]\nurl = 'http://127.0.0.1:1/'\n");
        Some(Arc::new(Config::parse(&text, "test", &environment).unwrap().0))
    }

    /// How long one waits for the next trial.
    async fn wait(calendar: &mut Calendar) -> Duration {
        let began = Instant::now();
        calendar.next().await.unwrap();
        began.elapsed()
    }

    #[tokio::test(start_paused = true)]
    async fn a_new_configuration_is_tried_soon_and_the_same_after_its_time() {
        let daily = "[redteam]\nschedule = '24h'";
        let (configs, receiver) = watch::channel(config(daily));
        let mut calendar = Calendar { configs: receiver, tried: None };
        for (least, most) in [(SOON.1, SOON.1), (21 * HOUR, 27 * HOUR), (21 * HOUR, 27 * HOUR)] {
            let waited = wait(&mut calendar).await;
            assert!((least..=most + Duration::from_secs(1)).contains(&waited), "{waited:?}");
        }
        configs.send_replace(config(daily));
        assert!(wait(&mut calendar).await <= SOON.1 + Duration::from_secs(1));
    }

    #[tokio::test(start_paused = true)]
    async fn a_configuration_that_changes_all_the_time_is_tried_nevertheless() {
        let (configs, receiver) = watch::channel(config("[redteam]\nschedule = '1h'"));
        let mut calendar = Calendar { configs: receiver, tried: None };
        let changing = async {
            loop {
                tokio::time::sleep(Duration::from_secs(10)).await;
                configs.send_replace(config("[redteam]\nschedule = '1h'"));
            }
        };
        let waited = tokio::select! { waited = wait(&mut calendar) => waited, () = changing => HOUR * 9 };
        assert!(waited <= HOUR * 2, "{waited:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn without_the_table_nothing_is_due_until_there_is_one() {
        let (configs, receiver) = watch::channel(config(""));
        let mut calendar = Calendar { configs: receiver, tried: None };
        assert!(tokio::time::timeout(HOUR * 1_000, calendar.next()).await.is_err());
        configs.send_replace(config("[redteam]"));
        assert!(calendar.next().await.is_some());
        configs.send_replace(config(""));
        assert!(tokio::time::timeout(HOUR * 1_000, calendar.next()).await.is_err());
        drop(configs);
        assert!(calendar.next().await.is_none());
    }
}
