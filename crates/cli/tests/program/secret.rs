//! `bartizan secret digest`.

use std::fs;

use crate::support::{bartizan_fed, bartizan_with};

const KEY: &str = "a key of the operator's";
/// The form of a token, and none that anybody has.
const TOKEN: &str = "btz_Q7rT2mXw9ZpL_k4Nv8Bq3Hs6Yd1Fg5Jc0Rt7Wm2Xz9Pl4Ka8Ue3So6Vi1RKwy7";

#[test]
fn the_digest_is_the_one_by_which_the_guard_lets_it_pass() {
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("bartizan.toml");
    let file = file.display().to_string();
    let server = "[server.files]\ncommand = [\"files\"]\n";
    fs::write(&file, format!("{server}[guard.secrets]\nallow_key = \"{KEY}\"\n")).unwrap();
    let digest = |input: &str| bartizan_fed(&["secret", "digest", "--config", &file], input).status(0);
    let expected = bartizan_guard::guards::secrets::digest(KEY, TOKEN);
    for input in [TOKEN.to_owned(), format!("{TOKEN}\n"), format!("{TOKEN}\r\n")] {
        let end = digest(&input);
        assert_eq!((end.stdout.trim(), &*end.stderr), (&*expected, ""), "{input:?}");
    }
    let blanks = digest(&format!(" {TOKEN}"));
    assert!(blanks.stdout.trim() != expected && blanks.stderr.contains("no format"), "{blanks:?}");

    let judged = |more: &str| {
        fs::write(&file, format!("{server}[guard.secrets]\nallow_key = \"{KEY}\"\n{more}")).unwrap();
        let inspect = ["inspect", "--kind", "tool_result", "--config", &file, "--text", TOKEN, "--json"];
        bartizan_with(&[("BARTIZAN_HOME", "/nowhere")], home.path(), &inspect)
    };
    judged("").status(1);
    judged(&format!("allow = [\"{expected}\"]\n")).status(0);
}

#[test]
fn without_a_key_or_a_secret_there_is_no_digest() {
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("bartizan.toml");
    let path = file.display().to_string();
    fs::write(&file, "[server.files]\ncommand = [\"files\"]\n").unwrap();
    let end = bartizan_fed(&["secret", "digest", "--config", &path], TOKEN).status(2);
    assert!(end.stdout.is_empty() && end.stderr.contains("no `allow_key`") && !end.stderr.contains(TOKEN), "{end:?}");
    fs::write(&file, format!("[server.files]\ncommand = [\"files\"]\n[guard.secrets]\nallow_key = \"{KEY}\"\n"))
        .unwrap();
    bartizan_fed(&["secret", "digest", "--config", &path], "\n").status(2);
    // It is never an argument.
    bartizan_fed(&["secret", "digest", "--config", &path, TOKEN], "").status(2);
}
