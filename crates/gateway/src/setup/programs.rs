//! What comes with a program: its file, what it is run by, the installation or project that they are part of, and the script that it
//! runs.
//!
//! Threat: whoever wrote a script, or filled the directory in which a program starts, would choose what is seen with it. So nothing
//! is taken from there but programs, interpreters and the directories that are known to hold nothing else.

use std::ffi::OsStr;
use std::io::Read as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Component, Path, PathBuf};

use bartizan_config::plain_path;
use bartizan_sandbox::{Launch, may_be_laid};

use crate::files::open_regular;

/// Whether what is named from where the program starts is there, or below, once all links are followed; or has none. Whoever
/// filled that place may have laid one to somewhere else.
pub(super) fn stays(full: &Path, start: &Path) -> bool {
    let (Ok(found), Ok(start)) = (std::fs::canonicalize(full), std::fs::canonicalize(start)) else { return true };
    found.starts_with(&start) || found == plain_path(full)
}

/// By these an installation of an interpreter is known, in which nothing else lies.
const INSTALLATIONS: &[&str] = &["lib/node_modules", "pyvenv.cfg", "lib/python3", "lib64/python3", "include/node"];

/// What programs are started by other ones, such as by the first line of a script.
const COMMON: &[&str] = &["bash", "node", "python", "python3", "sh"];

/// Where programs are looked for.
pub(super) struct Search<'a> {
    path: Option<&'a OsStr>,
    home: Option<&'a Path>,
    start: &'a Path,
    /// The directories in which servers may have laid something.
    changes: &'a [PathBuf],
}

impl<'a> Search<'a> {
    pub(super) fn new(launch: &'a Launch, start: &'a Path, changes: &'a [PathBuf]) -> Search<'a> {
        let home = launch.env.get("HOME").map(Path::new);
        Search { path: launch.env.get("PATH"), home, start, changes }
    }

    /// The files of that name in the directories of `PATH`, in their order.
    fn named(&self, program: &OsStr) -> impl Iterator<Item = PathBuf> {
        let entries = self.path.map(|path| std::env::split_paths(path).collect::<Vec<_>>()).unwrap_or_default();
        entries.into_iter().map(move |entry| self.start.join(entry).join(program)).filter(|file| is_executable(file))
    }

    /// The program's file: for a name the first one in `PATH`.
    fn find(&self, program: &OsStr) -> Option<PathBuf> {
        if program.as_encoded_bytes().contains(&b'/') {
            return Some(without_steps_up(self.start.join(program)));
        }
        self.named(program).next()
    }
}

/// Has the directories of `PATH` come last in which a server may have laid a program, or to whose programs links there lead: it would be taken for another one's, also
/// by what that starts itself. If that makes another file of what is started, both are returned: the one that would have been
/// started, and the one that is.
pub(super) fn lay_last(launch: &mut Launch, start: &Path, changes: &[PathBuf]) -> Option<(PathBuf, PathBuf)> {
    let path = launch.env.get("PATH")?.to_owned();
    let named = Some(launch.program.as_os_str()).filter(|name| Path::new(name).components().count() == 1);
    let names: Vec<&OsStr> = named.into_iter().chain(COMMON.iter().map(OsStr::new)).collect();
    let may_be_laid = |entry: &PathBuf| {
        let directory = start.join(entry);
        // A link to what lies there is followed wherever it stands itself.
        let mut programs = names.iter().map(|name| directory.join(name)).filter(|file| is_executable(file));
        may_be_laid(&directory, changes) || programs.any(|file| may_be_laid(&file, changes))
    };
    let (last, first): (Vec<_>, Vec<_>) = std::env::split_paths(&path).partition(may_be_laid);
    if last.is_empty() {
        return None;
    }
    let find = |launch: &Launch| Search::new(launch, start, changes).find(&launch.program);
    let before = find(launch);
    launch.env.set("PATH", std::env::join_paths(first.into_iter().chain(last)).ok()?);
    before.zip(find(launch)).filter(|(before, now)| before != now)
}

/// The interpreter that tools in Python are installed for: the first one that is a program, and no script that looks for one.
pub(super) fn python(search: &Search<'_>) -> Vec<PathBuf> {
    let home = search.home;
    let is_meant = |file: &PathBuf| !may_be_laid(file, search.changes) && interpreter(file, search).is_none();
    let found = search.named(OsStr::new("python3")).find(is_meant);
    let real = found.as_deref().and_then(|file| std::fs::canonicalize(file).ok());
    let files: Vec<_> = [found, real].into_iter().flatten().collect();
    let installations: Vec<_> = files.iter().filter_map(|file| installation(file, home)).collect();
    files.into_iter().chain(installations).collect()
}

/// The program's file, what it is run by if it is a script, and the installations they belong to.
pub(super) fn program(program: &OsStr, search: &Search<'_>) -> Vec<PathBuf> {
    let home = search.home;
    let mut next = search.find(program);
    let mut paths = Vec::new();
    // An environment in a project is the project's.
    let environment = next.as_deref().and_then(|file| installation(file, home));
    let environment = environment.filter(|at| at.join("pyvenv.cfg").is_file() && is_interpreter(program));
    paths.extend(environment.and_then(|at| project(&at, home)));
    // A script may be run by a script, but not for ever.
    for round in 0..4 {
        let Some(file) = next.take() else { break };
        let real = std::fs::canonicalize(&file).ok();
        paths.extend(real.as_deref().and_then(packages));
        next = real.as_deref().and_then(|file| interpreter(file, search));
        let before = paths.len();
        let files = [Some(file), real.clone()].into_iter().flatten();
        paths.extend(files.clone().filter_map(|file| installation(&file, home)));
        // Not that of what a first line names: whoever wrote that would choose whose project is seen.
        if paths.len() == before && round == 0 {
            paths.extend(real.as_deref().and_then(|file| project(file, home)));
        }
        paths.extend(files);
    }
    paths
}

/// What the environment of a Python project in this directory was made from: without it, it is none.
///
/// Whoever may write there may lead it elsewhere, so it is only ever an interpreter's own installation.
pub(super) fn base_of_environment(directory: &Path, launch: &Launch) -> Option<PathBuf> {
    let home = launch.env.get("HOME").map(PathBuf::from);
    let file = interpreter_behind(&directory.join(".venv/bin/python"), home.as_deref())?;
    installation(&file, home.as_deref()).filter(|base| base != Path::new("/usr"))
}

/// Where installations and projects keep the tokens by which packages are fetched. What runs needs none of them.
const TOKENS: &[&str] = &[".condarc", ".npmrc", "condarc", "etc/npmrc", "etc/pip.conf", "pip.conf"];

/// Those of these directories, which are there.
pub(super) fn tokens(shown: &[PathBuf]) -> Vec<PathBuf> {
    let all = shown.iter().flat_map(|directory| TOKENS.iter().map(|name| directory.join(name)));
    all.filter(|file| file.is_file()).collect()
}

/// The interpreter that an environment of Python was made from, if it is one of an installation.
pub(super) fn interpreter_of(environment: &Path, home: Option<&Path>) -> Option<PathBuf> {
    interpreter_behind(&environment.join("bin/python"), home)
}

/// The interpreter of an environment, and its installation, to be read.
pub(super) fn base_of(environment: &Path, home: Option<&Path>) -> Vec<PathBuf> {
    let Some(file) = interpreter_of(environment, home) else { return Vec::new() };
    let base = installation(&file, home).filter(|base| base != Path::new("/usr"));
    base.into_iter().chain([file]).collect()
}

/// The interpreter that a link in an environment of Python leads to, if it is one of an installation that is no environment itself.
pub(super) fn interpreter_behind(link: &Path, home: Option<&Path>) -> Option<PathBuf> {
    let bin = link.parent()?;
    let file = std::fs::canonicalize(link).ok()?;
    let is_python =
        |path: &Path| path.file_name().and_then(OsStr::to_str).is_some_and(|name| name.starts_with("python"));
    let is_environment = bin.file_name() == Some(OsStr::new("bin")) && bin.with_file_name("pyvenv.cfg").is_file();
    let base = installation(&file, home).filter(|base| !base.join("pyvenv.cfg").exists());
    (is_environment && is_python(link) && is_python(&file) && is_executable(&file) && base.is_some()).then_some(file)
}

/// What an interpreter is to run, which is named by whoever wrote the command.
pub(super) fn script(launch: &Launch, start: &Path) -> Vec<PathBuf> {
    let mut paths = Vec::new();
    let home = launch.env.get("HOME").map(PathBuf::from);
    let named = first_word(launch).map(|script| (script.is_absolute(), start.join(script)));
    let named = named.and_then(|(absolute, named)| (absolute || stays(&named, start)).then_some(named));
    let found = named.as_deref().and_then(|named| std::fs::canonicalize(named).ok()).filter(|file| file.is_file());
    if let Some((named, found)) = named.map(without_steps_up).zip(found) {
        let project = || is_interpreter(&launch.program).then(|| project(&found, home.as_deref())).flatten();
        paths.extend(packages(&found).or_else(project));
        // Also as it is named: a link in the way may be the program's own.
        paths.extend([found, named]);
    }
    paths
}

/// The first of the arguments that is no option: the script, if the program is an interpreter.
fn first_word(launch: &Launch) -> Option<PathBuf> {
    launch.args.iter().find(|word| !word.as_encoded_bytes().starts_with(b"-")).map(PathBuf::from)
}

/// Whether the program, or the script that it runs, is named from where it starts.
pub(super) fn is_named_from_here(launch: &Launch, start: &Path) -> bool {
    let program = Path::new(&launch.program);
    // The program of an environment is a link out of it. It is what was asked for, wherever it lies.
    let is_named = program.is_relative() && program.components().nth(1).is_some() && start.join(program).is_file();
    let script = first_word(launch).filter(|script| script.is_relative()).map(|script| start.join(script));
    is_named || script.is_some_and(|full| full.is_file() && stays(&full, start))
}

/// The same path without `..`, as the directory that it names is called; a path that leads nowhere stays as it is.
fn without_steps_up(path: PathBuf) -> PathBuf {
    if !path.components().any(|part| part == Component::ParentDir) {
        return path;
    }
    let directory = path.parent().and_then(|directory| std::fs::canonicalize(directory).ok());
    directory.zip(path.file_name()).map(|(directory, name)| directory.join(name)).unwrap_or(path)
}

/// What a directory is known by that holds one program's files and no others.
const PROJECTS: &[&str] = &["package.json", "pyproject.toml"];
/// How far above a program's file that directory is looked for.
const ABOVE: usize = 4;

/// Programs whose first argument is what they run; what others work with is no program.
const INTERPRETERS: &[&str] =
    &["bash", "bun", "dash", "deno", "node", "nodejs", "perl", "php", "python", "ruby", "sh", "tsx", "zsh"];

fn is_interpreter(program: &OsStr) -> bool {
    let name = Path::new(program).file_name().and_then(OsStr::to_str).unwrap_or_default();
    INTERPRETERS.contains(&name.trim_end_matches(|c: char| c.is_ascii_digit() || c == '.'))
}

/// The directory of the program that a file is part of, if it can be told from a directory in which other things lie.
fn project(file: &Path, home: Option<&Path>) -> Option<PathBuf> {
    let home = home?;
    let above = file.ancestors().skip(1).take(ABOVE);
    let mut own = above.take_while(|at| at.parent().is_some() && !home.starts_with(at));
    own.find(|at| PROJECTS.iter().any(|name| at.join(name).is_file())).map(Path::to_owned)
}

/// All packages that one of node's lies among: it is nothing without them, and nothing else is there.
fn packages(file: &Path) -> Option<PathBuf> {
    file.ancestors().filter(|at| at.file_name() == Some(OsStr::new("node_modules"))).last().map(Path::to_owned)
}

/// What the first line of a script says that it is run by: `#!/path`, `#!/usr/bin/env name` or `#!/usr/bin/env -S name`.
///
/// Whoever wrote the script wrote that line: what `env` does with other options is not guessed, and what is no program is not
/// what runs it.
fn interpreter(script: &Path, search: &Search<'_>) -> Option<PathBuf> {
    let mut head = Vec::new();
    open_regular(script).ok()?.take(256).read_to_end(&mut head).ok()?;
    let line = head.strip_prefix(b"#!")?.split(|byte| *byte == b'\n').next()?;
    let mut words = str::from_utf8(line).ok()?.split_ascii_whitespace();
    let program = words.next()?;
    let found = if Path::new(program).file_name() == Some(OsStr::new("env")) {
        let name = words.next()?;
        let name = if name == "-S" { words.next()? } else { name };
        let is_name = !name.starts_with('-') && !name.contains(['=', '"', '\'', '\\', '$']);
        is_name.then(|| search.find(OsStr::new(name))).flatten()
    } else {
        Some(program.into())
    };
    found.filter(|found: &PathBuf| found.is_absolute() && is_executable(found))
}

fn is_executable(file: &Path) -> bool {
    let found = std::fs::metadata(file);
    found.is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
}

/// The directory above the `bin` that a program lies in, if it is that of an interpreter and not one of the user's.
fn installation(program: &Path, home: Option<&Path>) -> Option<PathBuf> {
    let root = program.ancestors().skip(1).find(|at| at.file_name() == Some(OsStr::new("bin")))?.parent()?;
    let of_the_user = home.is_some_and(|home| home.starts_with(root) || root == home.join(".local"));
    let holds = |name: &str| match name.rsplit_once('/') {
        // Such as `lib/python3.12`.
        Some((directory, start)) => std::fs::read_dir(root.join(directory))
            .into_iter()
            .flatten()
            .flatten()
            .any(|entry| entry.file_name().to_str().is_some_and(|entry| entry.starts_with(start))),
        None => root.join(name).exists(),
    };
    (root != Path::new("/") && !of_the_user && INSTALLATIONS.iter().any(|name| holds(name))).then(|| root.to_owned())
}

#[cfg(test)]
mod tests {
    use bartizan_sandbox::Environment;

    use super::*;

    #[test]
    fn a_script_shows_what_runs_it_and_nothing_else_that_it_names() {
        let root = tempfile::tempdir().unwrap();
        let at = |name: &str| root.path().join(name).display().to_string();
        for (name, mode) in [("bin/python", 0o755), ("home/id", 0o600)] {
            std::fs::create_dir_all(root.path().join(name).parent().unwrap()).unwrap();
            std::fs::write(at(name), "").unwrap();
            std::fs::set_permissions(at(name), std::fs::Permissions::from_mode(mode)).unwrap();
        }
        let (bin, home, id) = (at("bin"), at("home"), at("home/id"));
        for (line, shown) in [
            (format!("{bin}/python"), true),
            (format!(" {bin}/python -u"), true),
            ("/usr/bin/env python".to_owned(), true),
            ("/usr/bin/env -S python -u".to_owned(), true),
            (format!("/usr/bin/env -S {bin}/python"), true),
            (format!("/usr/bin/env -S -u {home} python"), false),
            (format!("/usr/bin/env -u {home} python"), false),
            (format!("/usr/bin/env -C {home} python"), false),
            (format!("/usr/bin/env --unset {home} python"), false),
            ("/usr/bin/env A=b python".to_owned(), false),
            ("/usr/bin/env".to_owned(), false),
            (format!("/usr/bin/env {home}"), false),
            (home, false),
            (id, false),
            ("../bin/python".to_owned(), false),
        ] {
            std::fs::write(at("script"), format!("#!{line}\n")).unwrap();
            let search = Search { path: Some(OsStr::new(&bin)), home: None, start: root.path(), changes: &[] };
            let found = interpreter(&root.path().join("script"), &search);
            assert_eq!(found, shown.then(|| root.path().join("bin/python")), "{line}");
        }
    }

    #[test]
    fn a_program_comes_with_its_project_where_that_is_known() {
        let root = tempfile::tempdir().unwrap();
        let place = |name: &str| root.path().join(name);
        for file in ["home/app/dist/server.js", "home/app/package.json", "home/server.js", "home/a/b/c/d/e/server.js"] {
            std::fs::create_dir_all(place(file).parent().unwrap()).unwrap();
            std::fs::write(place(file), "").unwrap();
        }
        let of = |file: &str| project(&place(file), Some(&place("home")));
        assert_eq!(of("home/app/dist/server.js"), Some(place("home/app")));
        assert_eq!(of("home/server.js"), None, "no project");
        std::fs::write(place("home/package.json"), "").unwrap();
        std::fs::write(place("pyproject.toml"), "").unwrap();
        assert_eq!(of("home/server.js"), None, "the home directory is no project, nor is what it lies in");
        std::fs::write(place("home/a/package.json"), "").unwrap();
        assert_eq!(of("home/a/b/c/d/e/server.js"), None, "too far above");
        assert_eq!(of("home/a/b/c/server.js"), Some(place("home/a")));
        for (program, runs) in
            [("node", true), ("/usr/bin/python3.12", true), ("sh", true), ("cat", false), ("pythonic", false)]
        {
            assert_eq!(is_interpreter(OsStr::new(program)), runs, "{program}");
        }
        // An installation is known by more, and what it lies in is another's.
        std::fs::create_dir_all(place("home/app/.venv/bin")).unwrap();
        for file in ["home/app/.venv/bin/tool", "home/app/.venv/pyvenv.cfg"] {
            std::fs::write(place(file), "").unwrap();
        }
        let mut launch = Launch::new(place("home/app/.venv/bin/tool"));
        launch.env = Environment::empty();
        launch.env.set("HOME", place("home"));
        let seen = program(&launch.program, &Search::new(&launch, root.path(), &[]));
        assert!(seen.contains(&place("home/app/.venv")) && !seen.contains(&place("home/app")), "{seen:?}");
    }

    fn with_files(files: &[(&str, u32)]) -> (tempfile::TempDir, PathBuf) {
        let held = tempfile::tempdir().unwrap();
        let root = std::fs::canonicalize(held.path()).unwrap();
        for (file, mode) in files {
            std::fs::create_dir_all(root.join(file).parent().unwrap()).unwrap();
            std::fs::write(root.join(file), "").unwrap();
            std::fs::set_permissions(root.join(file), std::fs::Permissions::from_mode(*mode)).unwrap();
        }
        (held, root)
    }

    fn launch(program: impl Into<std::ffi::OsString>, home: &Path) -> Launch {
        let mut launch = Launch::new(program);
        launch.env = Environment::empty();
        launch.env.set("HOME", home).set("PATH", "/usr/bin");
        launch
    }

    #[test]
    fn neither_a_home_directory_nor_the_whole_machine_is_an_installation() {
        let (_held, root) = with_files(&[("home/bin/python", 0o755), ("home/lib/python3.12/x.py", 0o644)]);
        assert_eq!(installation(Path::new("/bin/sh"), None), None);
        assert_eq!(installation(&root.join("home/bin/python"), Some(&root.join("home"))), None);
    }

    #[test]
    fn an_environment_comes_with_what_it_was_made_from_and_leads_nowhere_else() {
        let (_held, root) = with_files(&[
            ("python/bin/python3.12", 0o755),
            ("python/lib/python3.12/os.py", 0o644),
            ("python/bin/secret", 0o755),
            ("other/bin/python3", 0o755),
            ("other/pyvenv.cfg", 0o644),
            ("home/bin/python3", 0o755),
            ("home/lib/python3.12/x.py", 0o644),
            ("home/.ssh/python-key", 0o600),
            ("project/.venv/pyvenv.cfg", 0o644),
            ("project/pyproject.toml", 0o644),
        ]);
        let link = root.join("project/.venv/bin/python");
        std::fs::create_dir_all(link.parent().unwrap()).unwrap();
        for (target, shown) in [
            ("python/bin/python3.12", Some("python")),
            ("python/bin/secret", None),
            ("python/bin/absent", None),
            ("other/bin/python3", None),
            ("home/bin/python3", None),
            ("home/.ssh/python-key", None),
        ] {
            std::fs::remove_file(&link).ok();
            std::os::unix::fs::symlink(root.join(target), &link).unwrap();
            let found = base_of_environment(&root.join("project"), &launch("uv", &root.join("home")));
            assert_eq!(found, shown.map(|shown| root.join(shown)), "{target}");
        }
        // Named from the project, its interpreter starts there and comes with the project; the way up is taken as well.
        std::fs::remove_file(&link).unwrap();
        std::os::unix::fs::symlink(root.join("python/bin/python3.12"), &link).unwrap();
        std::fs::create_dir_all(root.join("project/sub")).unwrap();
        for (named, start) in [(".venv/bin/python", "project"), ("../.venv/bin/python", "project/sub")] {
            let (launch, start) = (launch(named, &root.join("home")), root.join(start));
            assert!(is_named_from_here(&launch, &start), "{named}");
            let seen = program(&launch.program, &Search::new(&launch, &start, &[]));
            for path in ["project", "project/.venv", "python"] {
                assert!(seen.contains(&root.join(path)), "{named}: {path}: {seen:?}");
            }
            assert!(seen.iter().all(|path| !path.components().any(|part| part == Component::ParentDir)), "{seen:?}");
        }
        assert!(!is_named_from_here(&launch("absent/python", &root.join("home")), &root.join("project")));
    }

    #[test]
    fn what_a_server_may_have_laid_in_the_way_of_a_program_comes_last() {
        let (_held, root) = with_files(&[
            ("work/bin/tool", 0o755),
            ("work/bin/own", 0o755),
            ("work/bin/python3", 0o755),
            ("work/pyvenv.cfg", 0o644),
            ("other/tool", 0o755),
            ("usr/bin/tool", 0o755),
            ("usr/bin/python3", 0o755),
            ("not/own", 0o644),
        ]);
        let link = |from: &str, to: &str| std::os::unix::fs::symlink(root.join(to), root.join(from)).unwrap();
        link("alias", "work/bin");
        link("work/led", "other");
        std::fs::create_dir(root.join("links")).unwrap();
        std::fs::create_dir(root.join("fine")).unwrap();
        link("links/tool", "work/bin/tool");
        link("fine/tool", "other/tool");
        let work = [root.join("work")];
        for (entries, order, program, passed_over) in [
            (["work/bin", "usr/bin"], ["usr/bin", "work/bin"], "tool", Some(("work/bin/tool", "usr/bin/tool"))),
            (["alias", "usr/bin"], ["usr/bin", "alias"], "tool", Some(("alias/tool", "usr/bin/tool"))),
            // Also where a link has its directory lie elsewhere.
            (["work/led", "usr/bin"], ["usr/bin", "work/led"], "tool", Some(("work/led/tool", "usr/bin/tool"))),
            // Or where a link of the user's leads to one program there.
            (["links", "usr/bin"], ["usr/bin", "links"], "tool", Some(("links/tool", "usr/bin/tool"))),
            (["links", "usr/bin"], ["links", "usr/bin"], "absent", None),
            (["fine", "usr/bin"], ["fine", "usr/bin"], "tool", None),
            (["work/gone", "usr/bin"], ["usr/bin", "work/gone"], "tool", None),
            (["usr/bin", "work/bin"], ["usr/bin", "work/bin"], "tool", None),
            // It is what is meant, as there is no other that is a program.
            (["work/bin", "not"], ["not", "work/bin"], "own", None),
            // Nor is an environment of its own making an interpreter for another one.
            (
                ["work/bin", "usr/bin"],
                ["usr/bin", "work/bin"],
                "python3",
                Some(("work/bin/python3", "usr/bin/python3")),
            ),
            (["work/bin", "usr/bin"], ["usr/bin", "work/bin"], "absent", None),
            (["other", "usr/bin"], ["other", "usr/bin"], "tool", None),
        ] {
            let path = |entries: [&str; 2]| std::env::join_paths(entries.map(|entry| root.join(entry))).unwrap();
            let mut launch = launch(program, &root.join("home"));
            launch.env.set("PATH", path(entries));
            let found = lay_last(&mut launch, &root, &work);
            let expected = passed_over.map(|(laid, instead)| (root.join(laid), root.join(instead)));
            assert_eq!((found, launch.env.get("PATH")), (expected, Some(&*path(order))), "{entries:?} {program}");
        }
        let mut launch = launch("uv", &root.join("home"));
        launch.env.set("PATH", root.join("work/bin"));
        assert!(python(&Search::new(&launch, &root, &work)).is_empty(), "tools are installed for no such interpreter");
    }

    #[test]
    fn tokens_by_which_packages_are_fetched_are_found_where_they_are_kept() {
        let (_held, root) = with_files(&[
            ("inst/etc/npmrc", 0o600),
            ("inst/etc/other", 0o600),
            ("env/pip.conf", 0o600),
            ("project/.npmrc", 0o600),
            ("project/src/.npmrc", 0o600),
        ]);
        let shown: Vec<_> = ["inst", "env", "project", "gone", "inst/etc/other"].map(|name| root.join(name)).into();
        let expected: Vec<_> = ["inst/etc/npmrc", "env/pip.conf", "project/.npmrc"].map(|name| root.join(name)).into();
        assert_eq!(tokens(&shown), expected);
    }

    #[test]
    fn what_a_first_line_names_brings_no_project_and_nothing_is_waited_for() {
        let (_held, root) =
            with_files(&[("victim/scripts/entry.sh", 0o755), ("victim/package.json", 0o644), ("ws/server", 0o755)]);
        std::fs::write(root.join("ws/server"), format!("#!{}\n", root.join("victim/scripts/entry.sh").display()))
            .unwrap();
        let seen = |named: &str| {
            let launch = launch(root.join(named), &root.join("home"));
            program(&launch.program, &Search::new(&launch, &root, &[]))
        };
        let (server, entry) = (seen("ws/server"), seen("victim/scripts/entry.sh"));
        assert!(
            server.contains(&root.join("victim/scripts/entry.sh")) && !server.contains(&root.join("victim")),
            "{server:?}"
        );
        assert!(entry.contains(&root.join("victim")), "the twin: {entry:?}");
        rustix::fs::mknodat(rustix::fs::CWD, root.join("ws/pipe"), rustix::fs::FileType::Fifo, 0o755.into(), 0)
            .unwrap();
        let search = Search { path: None, home: None, start: &root, changes: &[] };
        assert_eq!(interpreter(&root.join("ws/pipe"), &search), None);
    }
}
