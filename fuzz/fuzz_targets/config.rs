//! The configuration: any text is either refused with a place for each problem or read, twice to the same effect.
#![no_main]

use std::path::PathBuf;

use bartizan_config::{Config, Environment};
use bartizan_guard::{Pipeline, Timestamp};
use libfuzzer_sys::fuzz_target;

/// No word of any message, so finding it in one means that it came from here.
const SECRET: &str = "q9Zw7Kx2Vb";

fuzz_target!(|text: &str| {
    // `file:` may name any file of the machine that fuzzes; what it holds is none of this target's business.
    if text.contains("file:") {
        return;
    }
    let environment = Environment {
        variables: [("HOME", "/home/user"), ("SECRET", SECRET), ("EMPTY", "")]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into(),
        directory: PathBuf::from("/etc/bartizan"),
        now: Timestamp(1_800_000_000_000_000),
    };
    let lines = text.lines().count().max(1) + 1;
    match Config::parse(text, "fuzz.toml", &environment) {
        Ok((config, warnings)) => {
            let again = Config::parse(text, "fuzz.toml", &environment);
            assert_eq!(format!("{config:?}"), again.map(|(config, _)| format!("{config:?}")).unwrap_or_default());
            assert!(Pipeline::new(config.settings.clone()).is_ok(), "the gateway can use what was accepted");
            assert!(config.listen.address.ip().is_loopback() || text.contains("allow_remote"));
            hidden(text, &warnings.iter().map(ToString::to_string).collect::<String>());
        }
        Err(found) => {
            assert!(!found.0.is_empty(), "a refusal says why");
            assert!(found.0.iter().all(|problem| problem.line <= lines), "{found}");
            hidden(text, &found.to_string());
        }
    }
});

fn hidden(text: &str, shown: &str) {
    assert!(text.contains(SECRET) || !shown.contains(SECRET), "a variable's value is shown: {shown}");
    assert!(!shown.contains(|c: char| c.is_control() && c != '\n'), "a message steers the terminal: {shown:?}");
}
