use std::ffi::OsString;
use std::fs;
use std::os::unix::ffi::OsStringExt as _;

use super::*;
use crate::{Config, Environment, Sandbox, Upstream};

/// A machine with a home directory, a place beside it, and a system.
struct Machine {
    _folder: tempfile::TempDir,
    root: PathBuf,
}

impl Machine {
    fn new() -> Machine {
        let folder = tempfile::tempdir().unwrap();
        let root = fs::canonicalize(folder.path()).unwrap();
        let machine = Machine { _folder: folder, root };
        for file in [
            "home/u/.ssh/id",
            "home/u/notes/a.txt",
            "home/u/notes/b.txt",
            "home/u/other/x",
            "srv/data/deep/1",
            "srv/data/deep/2",
            "srv/data/deep/3",
            "srv/data/deep/4",
            "srv/data/more/5",
            "srv/keys/1",
            "srv/keys/2",
            "srv/keys/3",
            "srv/keys/4",
            "srv/keys/tls.pem",
            "srv/app/node_modules/one/index.js",
            "srv/app/node_modules/one/node_modules/two/x.js",
            "usr/lib/libc.so",
            "state/bartizan/audit",
        ] {
            let path = machine.at(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "").unwrap();
        }
        machine
    }

    fn at(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    fn run(&self) -> Run {
        let home = self.at("home/u");
        Run {
            name: "learned".to_owned(),
            command: vec!["server".to_owned()],
            shown_anyway: vec![self.at("usr")],
            scratch: vec!["/var/tmp".into()],
            shown: vec![self.root.clone(), "/etc".into()],
            hidden: hidden(std::slice::from_ref(&home), &[self.at("state/bartizan")], |_| None),
            home: Some(home),
            ..Run::default()
        }
    }
}

fn uses(run: &mut Run, deed: Deed, paths: impl IntoIterator<Item = PathBuf>) {
    run.paths.extend(paths.into_iter().map(|path| PathUse { deed, path, by: "node".to_owned() }));
}

/// The profile as a server with it would have it.
fn read(text: &str) -> Sandbox {
    let whole = format!("[server.x]\ncommand = [\"true\"]\n[server.x.sandbox]\nprofile = \"learned\"\n{text}");
    let environment = Environment::of_process(Path::new("/"));
    let read = Config::parse(&whole, "learned.toml", &environment);
    let mut config = read.unwrap_or_else(|wrong| panic!("{wrong}\n{text}")).0;
    assert_eq!(config.servers.len(), 1, "{text}");
    match config.servers.remove("x").map(|server| server.upstream) {
        Some(Upstream::Command(command)) => *command.sandbox,
        _ => panic!("{text}"),
    }
}

#[test]
fn what_was_used_is_given_and_nothing_beside_it() {
    let machine = Machine::new();
    let mut run = machine.run();
    uses(
        &mut run,
        Deed::Read,
        ["home/u/notes/a.txt", "usr/lib/libc.so", "srv/data/more/5", "home/u/none"].map(|at| machine.at(at)),
    );
    uses(&mut run, Deed::Change, [machine.at("home/u/other/new"), "/var/tmp/x".into(), machine.at("home/u/.cache/y")]);
    run.writable = vec![machine.at("home/u/other")];
    run.hosts = vec![
        HostUse { host: "api.example.com".to_owned(), port: 443, refused: None },
        HostUse { host: "10.0.0.1".to_owned(), port: 80, refused: Some("egress.address_private".to_owned()) },
    ];
    run.allowed = vec![Allowed::NetlinkRoute];
    run.memory = (600 << 20, 1 << 30);
    run.pids = (10, 256);
    let text = run.profile();
    let held = read(&text);
    assert_eq!(held.read_only, [machine.at("home/u/notes/a.txt"), machine.at("srv/data/more/5")], "{text}");
    assert_eq!(held.writable, [machine.at("home/u/other")], "{text}");
    assert_eq!(held.hosts.iter().map(ToString::to_string).collect::<Vec<_>>(), ["api.example.com:443"]);
    assert_eq!((held.allow, held.memory, held.pids), (vec![Allowed::NetlinkRoute], 2 << 30, 256));
    assert!(text.contains("to reach: 10.0.0.1:80 (egress.address_private)"), "{text}");
    assert!(!text.contains("/var/tmp") && !text.contains(".cache"), "{text}");
}

#[test]
fn a_profile_that_it_began_with_stays_in_it() {
    let machine = Machine::new();
    let run = Run { profile: Some("git".to_owned()), ..machine.run() };
    assert_eq!(read(&run.profile()).variables.get("GIT_CONFIG_COUNT").map(String::is_empty), Some(false));
}

#[test]
fn several_files_of_one_directory_are_given_as_that() {
    let machine = Machine::new();
    let given = |names: &[&str]| {
        let mut run = machine.run();
        uses(&mut run, Deed::Read, names.iter().map(|at| machine.at(at)));
        read(&run.profile()).read_only
    };
    let deep = ["srv/data/deep/1", "srv/data/deep/2", "srv/data/deep/3", "srv/data/deep/4"];
    assert_eq!(given(&deep[..3]).len(), 3);
    assert_eq!(given(&deep), [machine.at("srv/data/deep")]);
    // Beside what looks like a secret, files stand by themselves.
    assert_eq!(given(&["srv/keys/1", "srv/keys/2", "srv/keys/3", "srv/keys/4"]).len(), 4);
    // A directory that the command names is given as that, once it is used.
    let mut run = machine.run();
    run.arguments = vec![machine.at("srv/keys"), machine.at("home"), "/".into()];
    uses(&mut run, Deed::Read, ["srv/keys/1", "srv/keys/2", "srv/keys/3", "srv/keys/4"].map(|at| machine.at(at)));
    assert_eq!(read(&run.profile()).read_only, [machine.at("srv/keys")]);
    let packages = ["srv/app/node_modules/one/index.js", "srv/app/node_modules/one/node_modules/two/x.js"];
    assert_eq!(given(&packages), [machine.at("srv/app/node_modules")]);
}

#[test]
fn what_is_wide_is_never_given_however_often_it_is_read() {
    let machine = Machine::new();
    for directory in ["home/u", "home", ""] {
        for number in 0..6 {
            fs::write(machine.at(directory).join(format!("f{number}")), "").unwrap();
        }
        let mut run = machine.run();
        // To list it, and to read much of it, as a hostile server would.
        uses(&mut run, Deed::List, [machine.at(directory), "/".into(), "/etc".into(), "/home".into()]);
        uses(&mut run, Deed::Read, (0..6).map(|number| machine.at(directory).join(format!("f{number}"))));
        uses(&mut run, Deed::Read, ["/".into()]);
        let text = run.profile();
        let given = read(&text).read_only;
        assert!(given.len() == 6 && given.iter().all(|path| path.is_file()), "{directory}: {given:?}");
        assert!(text.contains("# - to list: / ("), "{text}");
    }
    // Not even where the command names it.
    let mut run = machine.run();
    run.arguments = vec![machine.at("home/u"), machine.at("srv/data")];
    uses(&mut run, Deed::List, [machine.at("home/u"), machine.at("srv/data")]);
    assert_eq!(read(&run.profile()).read_only, [machine.at("srv/data")]);
}

#[test]
fn what_is_hidden_is_said_and_not_given() {
    let machine = Machine::new();
    std::os::unix::fs::symlink(machine.at("home/u/.ssh"), machine.at("home/u/notes/link")).unwrap();
    let mut run = machine.run();
    uses(
        &mut run,
        Deed::Read,
        ["home/u/.ssh/id", "home/u/notes/link/id", "home/u/.aws/credentials", "state/bartizan/audit"]
            .map(|at| machine.at(at)),
    );
    uses(&mut run, Deed::Read, [machine.at("home/u/notes").join("../.ssh/id"), "/etc/shadow".into()]);
    let text = run.profile();
    assert_eq!(read(&text).read_only, Vec::<PathBuf>::new(), "{text}");
    for (place, why) in
        [("home/u/.ssh", "keys of ssh"), ("home/u/.aws", "credentials of AWS"), ("state/bartizan", "Bartizan's own")]
    {
        let line = format!("# - what no server is shown: {} ({why}; by node)\n", machine.at(place).display());
        assert!(text.contains(&line), "{text}");
    }
    // Unless the user names it, and it is not Bartizan's own.
    let mut run = machine.run();
    run.read_only = ["home/u/.ssh/id", "state/bartizan/audit"].map(|at| machine.at(at)).into();
    uses(
        &mut run,
        Deed::Read,
        ["home/u/.ssh/id", "home/u/.ssh/other", "state/bartizan/audit"].map(|at| machine.at(at)),
    );
    let text = run.profile();
    assert_eq!(read(&text).read_only, [machine.at("home/u/.ssh/id")], "{text}");
    assert!(text.contains("(keys of ssh; by node)") && text.contains("(Bartizan's own; by node)"), "{text}");
    // In what the user names it stays hidden.
    let mut run = machine.run();
    run.read_only = vec![machine.at("home/u")];
    uses(&mut run, Deed::Read, [machine.at("home/u/notes/a.txt")]);
    let held = read(&run.profile());
    assert_eq!(held.read_only, [machine.at("home/u")]);
    // Also what is not there yet.
    for name in [".ssh", ".netrc", ".config/gcloud"] {
        assert!(held.hidden.contains(&machine.at("home/u").join(name)), "{name}: {:?}", held.hidden);
    }
    assert!(held.hidden.iter().all(|path| path.starts_with(machine.at("home/u"))), "{:?}", held.hidden);
}

/// What a server asked for and was refused it is not given, however it asked.
#[test]
fn what_was_not_shown_in_the_run_is_not_given() {
    let machine = Machine::new();
    let socket = machine.at("srv/data/deep/socket");
    let _listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
    std::os::unix::fs::symlink(machine.at("srv/data"), machine.at("home/u/notes/data")).unwrap();
    std::os::unix::fs::symlink("/run", machine.at("home/u/run")).unwrap();
    let deep = ["1", "2", "3", "4"].map(|name| machine.at("srv/data/deep").join(name));
    let mut run = Run { shown: vec![machine.at("home/u/notes"), machine.at("srv/keys")], ..machine.run() };
    run.arguments = vec![machine.at("srv/data"), machine.at("home/u/other")];
    uses(&mut run, Deed::Read, deep.clone());
    uses(&mut run, Deed::Read, [machine.at("home/u/notes/data/more/5"), machine.at("home/u/other/x")]);
    uses(&mut run, Deed::List, [machine.at("srv/data"), machine.at("home/u/run")]);
    let named = run.arguments.clone();
    uses(&mut run, Deed::Look, named);
    uses(&mut run, Deed::Read, [machine.at("srv/keys/1"), machine.at("home/u/notes/a.txt")]);
    let text = run.profile();
    assert_eq!(read(&text).read_only, [machine.at("home/u/notes/a.txt"), machine.at("srv/keys/1")], "{text}");
    let line = format!("# - to read, and it was not shown in that run: {} (by node)\n", deep[0].display());
    assert!(text.contains(&line) && text.contains("# - what a sandbox does not have: "), "{text}");
    // What was shown empty was not shown.
    let mut run = Run { covered: vec![machine.at("srv/data/deep")], ..machine.run() };
    uses(&mut run, Deed::Read, deep.iter().cloned().chain([machine.at("srv/data/more/5")]));
    assert_eq!(read(&run.profile()).read_only, [machine.at("srv/data/more/5")]);
    // A socket is the one of a daemon, which who has its file could speak to.
    let mut run = machine.run();
    uses(&mut run, Deed::Read, [socket.clone()]);
    let text = run.profile();
    assert!(read(&text).read_only.is_empty() && text.contains("but a socket, a pipe or a device: "), "{text}");
}

#[test]
fn what_was_let_through_says_by_whom() {
    let machine = Machine::new();
    let allowed = vec![Allowed::UnixSockets, Allowed::NetlinkRoute];
    let run = Run { allowed, allowed_anyway: vec![Allowed::UnixSockets], ..machine.run() };
    let text = run.profile();
    let line =
        "# let through in that run: \"netlink_route\" by --allow, \"unix_sockets\" by the profile that it began with\n";
    assert!(text.contains(line), "{text}");
    assert_eq!(read(&text).allow.len(), 2);
}

/// A profile with places within hidden ones, or with one that is both given and hidden, starts nothing.
#[test]
fn hidden_places_lie_in_no_other_and_what_is_named_is_none() {
    let machine = Machine::new();
    let home = machine.at("home/u");
    fs::create_dir_all(home.join("dots/config")).unwrap();
    std::os::unix::fs::symlink(home.join("dots/config"), home.join(".config")).unwrap();
    let within = |name: &str| (name == "KUBECONFIG").then(|| OsString::from(home.join(".ssh/kube")));
    let with = |read_only: &[&str], writable: &[&str]| {
        let mut run =
            Run { hidden: hidden(std::slice::from_ref(&home), &[machine.at("state")], within), ..machine.run() };
        run.read_only = read_only.iter().map(|name| machine.at(name)).collect();
        run.writable = writable.iter().map(|name| machine.at(name)).collect();
        uses(&mut run, Deed::Read, ["home/u/notes/a.txt", "home/u/.ssh/id"].map(|at| machine.at(at)));
        uses(&mut run, Deed::Change, writable.iter().map(|name| machine.at(name).join("new")));
        let text = run.profile();
        let held = read(&text);
        for place in &held.hidden {
            let others = held.hidden.iter().filter(|other| *other != place);
            assert!(!others.into_iter().any(|other| place.starts_with(other)), "{text}");
            assert!(!held.read_only.iter().chain(&held.writable).any(|path| path.starts_with(place)), "{text}");
            assert!(!place.starts_with(home.join(".config")), "a link is in the way: {text}");
        }
        (held, text)
    };
    let (held, text) = with(&["home/u"], &[]);
    assert!(held.hidden.contains(&home.join(".ssh")) && held.hidden.contains(&home.join("dots/config/gh")), "{text}");
    // As a whole, in which nothing else is hidden but by name; and a part of it, with nothing around.
    let (held, text) = with(&["home/u", "home/u/.ssh"], &[]);
    assert!(held.read_only.contains(&home.join(".ssh")) && !held.hidden.contains(&home.join(".ssh")), "{text}");
    let (held, text) = with(&[], &["home/u/.ssh"]);
    assert_eq!((held.writable, held.hidden), (vec![home.join(".ssh")], vec![home.join(".ssh/kube")]), "{text}");
    // A part of it in what is given as well cannot be shown.
    let (held, text) = with(&["home/u", "home/u/.ssh/id"], &[]);
    assert_eq!(held.read_only, std::slice::from_ref(&home), "{text}");
    assert!(held.hidden.contains(&home.join(".ssh")) && text.contains("named, but in a hidden place"), "{text}");
}

#[test]
fn a_home_that_is_a_link_is_a_home() {
    let machine = Machine::new();
    std::os::unix::fs::symlink(machine.at("home/u"), machine.at("home/link")).unwrap();
    for number in 0..6 {
        fs::write(machine.at("home/u").join(format!("f{number}")), "").unwrap();
    }
    let home = machine.at("home/link");
    let mut run = Run { hidden: hidden(std::slice::from_ref(&home), &[], |_| None), home: Some(home), ..machine.run() };
    run.arguments = vec![machine.at("home/u")];
    uses(&mut run, Deed::List, [machine.at("home/u")]);
    uses(&mut run, Deed::Read, (0..6).map(|number| machine.at("home/u").join(format!("f{number}"))));
    uses(&mut run, Deed::Read, [machine.at("home/u/.netrc"), machine.at("home/u/.ssh/id")]);
    let text = run.profile();
    let given = read(&text).read_only;
    assert!(given.len() == 6 && given.iter().all(|path| path.is_file()), "{text}");
    assert!(text.contains("home/u/.netrc (passwords") && text.contains("(keys of ssh"), "{text}");
}

#[test]
fn places_that_variables_name_are_hidden() {
    let variable = |name: &str| {
        let value = match name {
            "XDG_CONFIG_HOME" => "/data/config",
            "XDG_DATA_HOME" => "/data/share",
            "KUBECONFIG" => "/a/one:/a/two",
            "CARGO_HOME" => "/a/cargo",
            "PGPASSFILE" => "/a/../b/pgpass",
            "NETRC" => "/dev/null",
            "GNUPGHOME" => "/",
            "PIP_CONFIG_FILE" => "",
            _ => return None,
        };
        Some(OsString::from(value))
    };
    let places = hidden(&["/".into(), "/home/none".into()], &[], variable);
    let is_hidden = |path: &str| places.iter().any(|place| place.path == Path::new(path));
    for path in [
        "/.ssh",
        "/home/none/.netrc",
        "/home/none/.config/gh",
        "/data/config/gh",
        "/data/share/keyrings",
        "/a/one",
        "/a/two",
        "/a/cargo/credentials.toml",
        "/b/pgpass",
    ] {
        assert!(is_hidden(path), "{path}");
    }
    for path in ["/", "/dev/null", "/a/cargo", "/data/config", ""] {
        assert!(!is_hidden(path), "{path:?}");
    }
}

/// A directory that the command names is used later, also by a server that only looks whether it is there.
#[test]
fn a_named_directory_that_was_looked_at_is_given() {
    let machine = Machine::new();
    let with = |words: &[&str], looked: &[&str]| {
        let mut run = machine.run();
        run.arguments = words.iter().map(|word| machine.at(word)).collect();
        uses(&mut run, Deed::Look, looked.iter().map(|at| machine.at(at)));
        read(&run.profile()).read_only
    };
    assert_eq!(with(&["home/u/notes"], &["home/u/notes", "home/u/other"]), [machine.at("home/u/notes")]);
    assert!(with(&["home/u/notes"], &["home/u/other"]).is_empty());
    assert!(with(&["home/u", "home"], &["home/u", "home"]).is_empty());
}

#[test]
fn what_was_refused_is_said() {
    let machine = Machine::new();
    let mut run = machine.run();
    run.writable = vec![machine.at("home/u/notes")];
    run.protected = vec![".git".into()];
    uses(
        &mut run,
        Deed::Change,
        ["home/u/notes/.git/config", "srv/data/new", "home/u/other/new", "home/u/none/new"].map(|at| machine.at(at)),
    );
    run.others = vec![Other { what: "a socket".to_owned(), by: "x\ny".to_owned() }];
    (run.unread, run.left_out, run.lost, run.only_lists) = (3, 4, true, true);
    let text = run.profile();
    let held = read(&text);
    assert!(held.read_only.is_empty() && held.writable.is_empty(), "{text}");
    // What is shown at home is not the server's to change, and what is not there is its own.
    assert!(text.contains("home/u/other/new (by node)") && !text.contains("home/u/none"), "{text}");
    for part in [
        "kept as it is by fs.deny",
        "srv/data/new (by node)",
        "not used",
        "# - a socket (by x\\u{a}y)",
        "# 3 calls",
        "# 4 more",
        "ended before",
        "Only its lists",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
}

/// Whatever a server calls its files, it writes no line of its own.
#[test]
fn names_never_leave_their_texts_and_comments() {
    let machine = Machine::new();
    let names: [&[u8]; 11] = [
        b"a\", # x\n]\n[profile.evil]\nfs.ro = [\"x\"]\n#",
        b"b\nrw = [\"home\"]",
        b"c\r\n[server.evil]\rcommand = [\"sh\"]",
        b"d\\\"e\\",
        b"\x1b[2J\x07 f",
        "g\u{202e}\u{2028}\u{85}rtl".as_bytes(),
        b"'''\"\"\"",
        b"#h",
        b"${HOME}",
        b"~*?",
        b"\xff\xfe\n]",
    ];
    let directory = machine.at("srv/named");
    let mut run = machine.run();
    for (number, name) in names.iter().enumerate() {
        // Each in a directory of its own, so that all of them are named.
        let directory = directory.join(number.to_string());
        fs::create_dir_all(&directory).unwrap();
        let path = directory.join(OsString::from_vec(name.to_vec()));
        fs::write(&path, "").unwrap();
        uses(&mut run, Deed::Read, [path.clone()]);
        uses(&mut run, Deed::Change, [path.with_extension("new")]);
        let by = String::from_utf8_lossy(name).into_owned();
        run.paths.push(PathUse { deed: Deed::List, path: "/".into(), by: by.clone() });
        run.others.push(Other { what: by.clone(), by: by.clone() });
        run.command.push(by.clone());
        run.hosts.push(HostUse { host: by.clone(), port: 1, refused: None });
        run.hosts.push(HostUse { host: by.clone(), port: 2, refused: Some(by) });
    }
    let text = run.profile();
    let held = read(&text);
    assert!(held.writable.is_empty() && held.hosts.is_empty(), "{text}");
    assert!(
        held.read_only.len() >= 7 && held.read_only.iter().all(|path| path.starts_with(&directory) && path.is_file()),
        "{text}"
    );
    assert!(text.lines().all(|line| !line.chars().any(bartizan_mcp::is_unseen)), "{text}");
    let known = ["#", "[profile.learned", "profile = ", "ro = [", "allow = [", "    \"", "]"];
    for line in text.lines().filter(|line| !line.is_empty()) {
        assert!(known.iter().any(|start| line.starts_with(start)), "{line:?}");
    }
}

#[test]
fn masses_are_counted_and_not_given() {
    let machine = Machine::new();
    let mut run = machine.run();
    for number in 0..300 {
        let path = machine.at(&format!("srv/many/{number}/f"));
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, "").unwrap();
        uses(&mut run, Deed::Read, [path]);
        run.hosts.push(HostUse { host: format!("h{number}.example.com"), port: 443, refused: None });
    }
    let text = run.profile();
    let held = read(&text);
    assert_eq!((held.read_only.len(), held.hosts.len()), (give::READABLE, give::READABLE), "{text}");
    assert!(text.lines().count() < 200 && text.contains("more\n"), "{text}");
}

/// As many names as are kept, in many directories: each is looked up in a few steps, however many there are.
#[test]
fn all_names_that_are_kept_are_sorted_at_once() {
    let machine = Machine::new();
    let mut run = machine.run();
    for number in 0..4096 {
        let directory = machine.at(&format!("srv/many/{}/{number}", number % 64));
        fs::create_dir_all(&directory).unwrap();
        for name in ["1", "2", "3"] {
            fs::write(directory.join(name), "").unwrap();
            uses(&mut run, Deed::Read, [directory.join(name)]);
        }
        uses(&mut run, Deed::Look, [directory]);
    }
    assert_eq!(run.paths.len(), 16_384);
    let text = run.profile();
    assert_eq!(read(&text).read_only.len(), give::READABLE);
    assert!(text.contains("more\n") && text.len() < 30_000, "{}", text.len());
}
