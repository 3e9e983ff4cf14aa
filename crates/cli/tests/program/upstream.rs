//! `bartizan upstream`.

use std::fs;

use crate::support::bartizan_at;

#[test]
fn a_sign_in_needs_nothing_of_other_servers() {
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("bartizan.toml");
    // Nobody listens there, so that is as far as it gets.
    let text = "[server.tickets]\nurl = 'http://127.0.0.1:9/mcp'\nauth.oauth = {}\n[server.plain]\nurl = 'https://b.example/mcp'\n\
        [server.off]\nenabled = false\nurl = 'https://c.example/mcp'\n\
        [server.other]\nurl = 'https://a.example/mcp'\nheaders = { Authorization = 'Bearer ${NOT_SET_ANYWHERE}' }\n";
    fs::write(&file, text).unwrap();
    let file = file.display().to_string();
    let login = |name: &str| {
        bartizan_at(home.path(), &["upstream", "login", name, "--user", "ann", "--no-browser", "--config", &file])
    };
    let said = login("tickets").status(3).stderr;
    assert!(!said.contains("NOT_SET_ANYWHERE") && !said.contains("other"), "{said}");
    for (name, why) in [
        ("other", "the environment variable `NOT_SET_ANYWHERE` is not set"),
        ("plain", "nobody signs in to `plain`"),
        ("off", "is switched off"),
        ("nobody", "there is no server `nobody` in the configuration; there are off, other, plain, tickets"),
    ] {
        let said = login(name).status(2).stderr;
        assert!(said.contains(why), "{name}: {said}");
    }
}
