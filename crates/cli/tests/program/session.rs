//! `bartizan session` where no gateway runs; what it says of one that does is in `tests/labels` and `tests/flow`.

use std::fs;
use std::os::unix::net::UnixListener;

use crate::support::bartizan_at;

#[test]
fn a_gateway_that_does_not_run_cannot_be_asked() {
    let home = tempfile::tempdir().unwrap();
    let log = home.path().join("audit");
    fs::create_dir(&log).unwrap();
    let named = log.display().to_string();
    for arguments in [
        &["session", "list"][..],
        &["session", "list", "--json", "--log", &named],
        &["session", "show", "01", "--log", &named],
        &["session", "reset", "01", "--yes", "--log", &named],
    ] {
        let end = bartizan_at(home.path(), arguments).status(3);
        assert!(end.stderr.contains("no gateway that runs has its audit log in"), "{arguments:?}: {}", end.stderr);
        assert!(end.stdout.is_empty(), "{}", end.stdout);
    }
    // One that was killed leaves its socket behind.
    drop(UnixListener::bind(log.join("control")).unwrap());
    bartizan_at(home.path(), &["session", "list", "--log", &named]).status(3);
    bartizan_at(home.path(), &["session", "reset", "01", "--json", "--log", &named]).status(2);
}

#[test]
fn an_answer_that_is_not_understood_is_said() {
    let home = tempfile::tempdir().unwrap();
    let log = home.path().join("audit");
    fs::create_dir(&log).unwrap();
    let listener = UnixListener::bind(log.join("control")).unwrap();
    std::thread::spawn(move || {
        while let Ok((mut stream, _)) = listener.accept() {
            // All of the question first.
            std::io::copy(&mut stream, &mut std::io::sink()).ok();
            std::io::Write::write_all(&mut stream, b"{}").ok();
        }
    });
    let end = bartizan_at(home.path(), &["session", "list", "--log", &log.display().to_string()]).status(3);
    assert!(end.stderr.contains("is not understood"), "{}", end.stderr);
}
