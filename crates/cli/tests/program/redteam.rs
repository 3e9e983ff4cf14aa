//! `bartizan redteam`: what it says, what it is held against, and what it leaves alone.

use std::path::Path;

use serde_json::Value;

use crate::support::{bartizan, bartizan_fed, bartizan_with, conforms};

/// A directory with a configuration whose server leaves a mark if it is ever started.
struct Place(tempfile::TempDir);

impl Place {
    fn new(more: &str) -> Place {
        let place = Place(tempfile::tempdir().unwrap());
        let mark = place.path("started");
        let text = format!("[server.notes]\ncommand = [\"/usr/bin/touch\", \"{mark}\"]\n{more}");
        std::fs::write(place.path("bartizan.toml"), text).unwrap();
        place
    }

    fn path(&self, name: &str) -> String {
        self.0.path().join(name).display().to_string()
    }

    fn names(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.0.path()).unwrap();
        let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    fn redteam(&self, more: &[&str], status: i32) -> (String, String) {
        let environment = [("BARTIZAN_HOME", self.path("home")), ("HOME", self.path(""))];
        let environment: Vec<_> = environment.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let arguments = [&["redteam", "--sample", "28"], more].concat();
        let end = bartizan_with(&environment, self.0.path(), &arguments).status(status);
        (end.stdout, end.stderr)
    }
}

const TAGS: &[&str] = &["--mutations", "tags"];

#[test]
fn it_says_what_was_stopped_and_touches_nothing() {
    let place = Place::new("[audit]\ndirectory = \"log\"\n[store]\npath = \"keys.db\"\n");
    let (json, _) = place.redteam(&[TAGS, &["--json"]].concat(), 0);
    let report: Value = serde_json::from_str(&json).unwrap();
    conforms(&report, &serde_json::from_str(&bartizan(&["schema", "redteam"]).status(0).stdout).unwrap());
    assert_eq!((&report["attacks"]["sent"], &report["attacks"]["stopped"]), (&28.into(), &28.into()));
    assert_eq!(report["attacks"]["ids"], Value::Array(Vec::new()));
    assert_eq!(report["attacks"]["by"]["hidden_text.tags"], 28);
    assert_eq!(report["servers"][0], "notes");
    assert_eq!((&report["config"], &report["mode"]), (&"bartizan.toml".into(), &"enforce".into()));
    let guards = report["guards"].as_array().unwrap();
    assert!(guards.contains(&"prompt_injection".into()) && !guards.contains(&"output_anomaly".into()), "{guards:?}");
    // The server was never started, and what the configuration keeps is not there.
    assert_eq!(place.names(), ["bartizan.toml"]);
    let (text, _) = place.redteam(TAGS, 0);
    assert!(text.contains("hidden_text.tags 28") && text.contains("28      28  100%"), "{text}");
    let tried = "configuration  bartizan.toml\nmode           enforce\nservers        notes (";
    assert!(text.starts_with(tried) && text.contains("guards         all but output_anomaly, flow\n"), "{text}");
    assert_eq!(place.redteam(&[TAGS, &["--json"]].concat(), 0).0, json);
}

#[test]
fn it_says_what_it_tried() {
    let place = Place::new("");
    std::fs::remove_file(place.path("bartizan.toml")).unwrap();
    let (text, _) = place.redteam(TAGS, 0);
    let tried = "configuration  none, so the defaults\nmode           enforce\nservers        server (";
    assert!(text.starts_with(tried) && text.contains("guards         all but output_anomaly, flow\n"), "{text}");
    let servers = "[server.a]\ncommand = [\"/nowhere\"]\n[server.b]\ncommand = [\"/nowhere\"]\n";
    let file = format!("mode = \"observe\"\n[guard.hidden_text]\nenabled = false\n{servers}");
    std::fs::write(place.path("other.toml"), file).unwrap();
    let (text, _) = place.redteam(&[TAGS, &["--config", "other.toml"]].concat(), 0);
    let tried = "configuration  other.toml\nmode           observe, so nothing is stopped\nservers        a, b (";
    assert!(text.starts_with(tried) && text.contains("hidden_text"), "{text}");
    let (json, _) = place.redteam(&[TAGS, &["--config", "other.toml", "--json"]].concat(), 0);
    let report: Value = serde_json::from_str(&json).unwrap();
    assert_eq!((&report["config"], &report["mode"]), (&"other.toml".into(), &"observe".into()));
    assert!(!report["guards"].as_array().unwrap().contains(&"hidden_text".into()), "{json}");
}

#[test]
fn a_configuration_that_stops_less_is_worse_than_its_baseline() {
    let place = Place::new("");
    let file = place.path("baseline.json");
    place.redteam(&[TAGS, &["--write-baseline", &file]].concat(), 0);
    let baseline: Value = serde_json::from_str(&std::fs::read_to_string(&file).unwrap()).unwrap();
    conforms(&baseline, &serde_json::from_str(&bartizan(&["schema", "redteam.baseline"]).status(0).stdout).unwrap());
    let held = [TAGS, &["--baseline", &file]].concat();
    place.redteam(&held, 0);
    let weak = Place::new("[guard.hidden_text]\naction = \"observe\"\n");
    let (_, stderr) = weak.redteam(&held, 1);
    assert!(stderr.contains("worse: of shadowing 0 of 1 are stopped, and 1 of 1 was"), "{stderr}");
    // What cannot be compared is not said to be good.
    let (stdout, stderr) = place.redteam(&[&["--mutations", "plain"][..], &["--baseline", &file]].concat(), 2);
    let differs = "it is of other texts: it was written with --mutations tags, and this is with --mutations plain";
    assert!(stdout.is_empty() && stderr.contains(differs) && stderr.contains("nothing was sent"), "{stderr}");
    let (_, stderr) = place.redteam(&[TAGS, &["--write-baseline", "nowhere/baseline.json"]].concat(), 2);
    assert!(stderr.contains("nothing was sent") && stderr.contains("no such directory"), "{stderr}");
    place.redteam(&[TAGS, &["--baseline", "/nowhere/baseline.json"]].concat(), 3);
    let (_, stderr) = place.redteam(&[TAGS, &["--baseline", "bartizan.toml"]].concat(), 2);
    assert!(stderr.contains("bartizan.toml is no file that `redteam --write-baseline` wrote"), "{stderr}");
}

#[test]
fn what_came_through_can_be_read_and_inspected() {
    let place = Place::new("");
    let (json, _) = place.redteam(&["--mutations", "split", "--json"], 0);
    let report: Value = serde_json::from_str(&json).unwrap();
    let id = report["attacks"]["ids"][0].as_str().unwrap();
    let show = |id: &str| bartizan(&["redteam", "--show", id]);
    let lines = show(id).status(0).stdout;
    assert!(lines.lines().count() > 1 && lines.lines().all(|line| line.contains(id)), "{lines}");
    let judged = bartizan_fed(&["inspect", "--fail-on", "never"], &lines).status(0).stdout;
    assert_eq!(judged.lines().count(), lines.lines().count());
    // What is not seen is no secret of the terminal's.
    let tags = show("payment-001/tags").status(0).stdout;
    assert!(tags.is_ascii() && tags.contains("\\udb40"), "{tags}");
    assert!(show("nonsense").status(2).stderr.contains("there is no text `nonsense`"));
    bartizan(&["redteam", "--show", id, "--sample", "3"]).status(2);
}

#[test]
fn what_there_is_not_is_wrong_usage() {
    let place = Place::new("");
    for (wrong, said) in [
        (&["--families", "nonsense"][..], "there is no family `nonsense`; there are access, "),
        (&["--mutations", "nonsense"], "zero_width"),
        (&["--server", "nope"], "the configuration has no server `nope`"),
        (&["--config", "nope.toml"], "nope.toml"),
    ] {
        let (stdout, stderr) = place.redteam(wrong, 2);
        assert!(stdout.is_empty() && stderr.contains(said), "{stderr}");
    }
    assert!(Path::new(&place.path("bartizan.toml")).is_file());
}

#[test]
fn policies_that_refuse_everybody_are_told_from_what_finds_attacks() {
    let roles =
        "[role.reader]\nallow = [\"server:notes\"]\n[group.readers]\nmembers = [\"ann\"]\nroles = [\"reader\"]\n";
    let place = Place::new(roles);
    let hint = "--as NAME";
    let (text, _) = place.redteam(&["--mutations", "plain"], 0);
    assert!(text.contains(hint) && text.contains("policy."), "{text}");
    let (text, _) = place.redteam(&["--mutations", "plain", "--as", "ann"], 0);
    assert!(!text.contains(hint), "{text}");
}
