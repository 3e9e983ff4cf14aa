//! The case about what other programs of the user read, or run, in the home directory and beside it.

use std::fs;
use std::path::{Path, PathBuf};

use crate::support::{Machine, all_below, confined, confinement, is_root, lines, run, sh};

/// What a shell, `sshd`, a desktop, `git` and package managers take from there.
const READ_BY_OTHERS: &[&str] = &[
    ".bashrc",
    ".profile",
    ".ssh/authorized_keys",
    ".config/autostart/planted.desktop",
    ".config/systemd/user/planted.service",
    ".config/git/config",
    ".gitconfig",
    ".local/bin/ls",
    ".npm/_cacache/index-v5/planted",
    ".npmrc",
    ".cache/uv/archive-v0/planted.py",
];
/// What a scheduler and a login read for all users. No program reads what is named so.
const OF_ALL: &[&str] = &["/var/spool/cron", "/var/spool/cron/crontabs", "/etc/cron.d", "/etc/profile.d"];

pub(crate) async fn what_others_read_in_the_home_directory_is_not_written() {
    let machine = Machine::new();
    let home = machine.outside.join("home");
    let plant = |place: &Path| format!("mkdir -p {}; echo '# planted' >> {}", parent(place), place.display());
    for name in READ_BY_OTHERS {
        let file = home.join(name);
        // There already, or to be made.
        for there in [false, true] {
            drop(fs::remove_dir_all(&home));
            fs::create_dir(&home).unwrap();
            if there {
                fs::create_dir_all(file.parent().unwrap()).unwrap();
                fs::write(&file, "mine\n").unwrap();
            }
            let before = all_below(&home);
            let by_path = plant(&file);
            let by_variable = plant(&Path::new("$HOME").join(name));
            let script = format!("{by_path}; {by_variable}; cat {}; grep -c planted $HOME/{name}", file.display());
            // Its own home lies elsewhere, or under the same name.
            for own in [PathBuf::from("/home/sandbox"), home.clone()] {
                let mut walls = confinement(&machine);
                walls.home = Some(own.clone());
                let mut launch = sh(&script);
                launch.env.set("HOME", &own);
                let (_, said) = run(&confined(launch, walls)).await;
                assert!(!said.contains("mine"), "{name} in {own:?} is read: {said}");
                assert_eq!(all_below(&home), before, "{name} in {own:?}: {said}");
            }
            for (way, script) in [("its path", by_path), ("its variable", by_variable)] {
                let mut launch = sh(&script);
                launch.env.set("HOME", &home);
                run(&launch).await;
                assert!(lines(&file).contains("planted"), "the control of {name} by {way}");
                fs::write(&file, "mine\n").unwrap();
            }
        }
    }
    for directory in OF_ALL.iter().map(Path::new).filter(|directory| is_root() && directory.is_dir()) {
        let file = Planted(directory.join(format!("bartizan-escape.{}", std::process::id())));
        let script = plant(&file.0);
        run(&confined(sh(&script), confinement(&machine))).await;
        assert!(!file.0.exists(), "{:?}", file.0);
        run(&sh(&script)).await;
        assert!(file.0.exists(), "the control of {:?}", file.0);
    }
}

/// A file beside those of the machine, which goes with the case.
struct Planted(PathBuf);

impl Drop for Planted {
    fn drop(&mut self) {
        fs::remove_file(&self.0).ok();
    }
}

fn parent(place: &Path) -> String {
    place.parent().unwrap().display().to_string()
}
