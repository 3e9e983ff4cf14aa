//! Runs cases as the harness of the standard library would, for programs whose `main` has to begin in its own way.
//!
//! It understands as much of the command line as cargo and nextest use: a filter, `--exact`, `--list` and `--ignored`.

use std::future::Future;
use std::pin::Pin;
use std::process::ExitCode;

pub(crate) type Case = fn() -> Pin<Box<dyn Future<Output = ()> + Send>>;

/// One case, and what to do before it, once.
pub(crate) struct Named {
    pub(crate) name: String,
    pub(crate) case: Case,
    /// Whether it is for an ordinary user, which this process then becomes.
    pub(crate) ordinary: bool,
    /// Whether it belongs to the long version only.
    pub(crate) ignored: bool,
    /// What is done right before it.
    pub(crate) prepare: Option<Box<dyn Fn()>>,
}

/// Runs the cases that the arguments ask for, those for an ordinary user last.
///
/// What cannot be tried as one has failed: `become_ordinary` says why and what to do.
pub(crate) fn run(cases: Vec<Named>, become_ordinary: impl Fn() -> Result<(), String>) -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let has = |flag: &str| args.iter().any(|arg| arg == flag);
    if has("--list") {
        // nextest asks for all of them, and then which of these are ignored.
        let listed = cases.iter().filter(|case| case.ignored || !has("--ignored"));
        listed.for_each(|case| println!("{}: test", case.name));
        return ExitCode::SUCCESS;
    }
    let filters: Vec<&String> = args.iter().filter(|arg| !arg.starts_with('-')).collect();
    let long = has("--include-ignored") || has("--ignored");
    let wanted = |case: &Named| {
        if case.ignored && !long || !case.ignored && has("--ignored") {
            return false;
        }
        let fits =
            |filter: &&String| if has("--exact") { case.name == **filter } else { case.name.contains(filter.as_str()) };
        filters.is_empty() || filters.iter().any(fits)
    };
    let (ordinary, first): (Vec<_>, Vec<_>) = cases.into_iter().filter(wanted).partition(|case| case.ordinary);
    let mut failed = some(&first);
    if !ordinary.is_empty() {
        failed += match become_ordinary() {
            Ok(()) => some(&ordinary),
            Err(why) => {
                ordinary.iter().for_each(|case| println!("test {} ... FAILED", case.name));
                println!("nothing was tried as an ordinary user: {why}");
                ordinary.len()
            }
        };
    }
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn some(cases: &[Named]) -> usize {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let mut failed = 0;
    for case in cases {
        case.prepare.iter().for_each(|prepare| prepare());
        let passed = runtime.block_on(async { tokio::spawn((case.case)()).await.is_ok() });
        println!("test {} ... {}", case.name, if passed { "ok" } else { "FAILED" });
        failed += usize::from(!passed);
    }
    failed
}
