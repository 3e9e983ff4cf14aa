//! Runs the program, and writes logs for it to read.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use bartizan_audit::{Entry, Id, Log, Options};
use serde_json::Value;

/// How a run ended.
#[derive(Debug)]
pub(crate) struct End {
    status: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl End {
    #[track_caller]
    pub(crate) fn status(self, expected: i32) -> Self {
        assert_eq!(self.status, Some(expected), "stdout: {}\nstderr: {}", self.stdout, self.stderr);
        self
    }

    /// The output as JSON; what names a format has to be as its published schema says.
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        let json: Value = serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {}", self.stdout));
        if let Some(format) = json["format"].as_str() {
            let schema = serde_json::from_str(&bartizan(&["schema", format]).status(0).stdout).unwrap();
            conforms(&json, &schema);
        }
        json
    }
}

/// Checks a value against a schema.
#[track_caller]
pub(crate) fn conforms(value: &Value, schema: &Value) {
    let validator = jsonschema::validator_for(schema).unwrap();
    let wrong: Vec<_> = validator.iter_errors(value).map(|error| error.to_string()).collect();
    assert!(wrong.is_empty(), "{wrong:?}: {value:#}");
}

/// Runs the program in an empty environment.
pub(crate) fn bartizan(arguments: &[&str]) -> End {
    bartizan_at(Path::new("/nowhere"), arguments)
}

/// Runs the program with that directory as Bartizan's own.
pub(crate) fn bartizan_at(home: &Path, arguments: &[&str]) -> End {
    bartizan_with(&[("BARTIZAN_HOME", &home.display().to_string())], Path::new("/"), arguments)
}

/// Runs the program in another directory, with these environment variables and no others.
pub(crate) fn bartizan_with(environment: &[(&str, &str)], directory: &Path, arguments: &[&str]) -> End {
    let mut command = Command::new(env!("CARGO_BIN_EXE_bartizan"));
    command.args(arguments).env_clear().envs(environment.iter().copied()).current_dir(directory);
    let output = command.output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    End { status: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
}

/// Runs the program in an empty environment, and feeds it.
pub(crate) fn bartizan_fed(arguments: &[&str], input: &str) -> End {
    bartizan_fed_at(Path::new("/nowhere"), arguments, input)
}

/// The same with that directory as Bartizan's own.
pub(crate) fn bartizan_fed_at(home: &Path, arguments: &[&str], input: &str) -> End {
    let mut command = Command::new(env!("CARGO_BIN_EXE_bartizan"));
    command.args(arguments).env_clear().env("BARTIZAN_HOME", home).current_dir("/");
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_owned();
    // Whoever does not read all of it need not.
    let feeder = std::thread::spawn(move || stdin.write_all(input.as_bytes()).ok());
    let output = child.wait_with_output().unwrap();
    feeder.join().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    End { status: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
}

/// 2026-01-02, 03:04:05 UTC.
const AT: i64 = 1_767_323_045_000_000;

/// Writes entries into the log of `home`, and returns their ids.
pub(crate) fn write_log(home: &Path, entries: &[(&str, Value)]) -> Vec<String> {
    let (log, _) = Log::open(&home.join("audit"), &Options::default()).unwrap();
    let mut ids = Vec::new();
    for (number, (kind, fields)) in entries.iter().enumerate() {
        let id = Id::new(AT, [u8::try_from(number).unwrap(); 10]);
        let _receipt = log.append(&Entry { id, at_micros: AT, kind, fields }).unwrap();
        ids.push(id.to_string());
    }
    ids
}
