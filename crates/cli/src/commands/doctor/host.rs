//! What a host offers, as it is printed.

use std::fmt::Write as _;
use std::path::Path;

use bartizan_sandbox::{Device, Host, LANDLOCK, Tried, Wall};
use schemars::JsonSchema;
use serde::Serialize;

use crate::output::Paint;
use crate::text::inline;

/// This machine, as far as confining goes.
#[derive(Serialize, JsonSchema)]
pub(super) struct HostReport {
    /// The system, its release and its architecture.
    system: String,
    /// Whether a server can be confined here at all.
    confines: bool,
    /// What every confined server needs, each tried in a process of its own.
    walls: Vec<WallReport>,
    /// The version of Landlock; null if there is none.
    landlock: Option<u32>,
    /// What the filter of system calls can answer with.
    seccomp_actions: Vec<String>,
    control_groups: Groups,
    /// The kernel's security modules; null if it does not say.
    security_modules: Option<Vec<String>>,
    /// Whether AppArmor lets only programs with a profile make user namespaces.
    apparmor_restricts: bool,
    /// `absent`, `closed` to this user, or `usable`.
    kvm: &'static str,
    /// The runtimes that are here, for the levels beyond `process`.
    runtimes: Vec<RuntimeReport>,
    /// What to do about what is missing.
    remedies: Vec<String>,
}

#[derive(Serialize, JsonSchema)]
struct WallReport {
    /// Which one.
    id: &'static str,
    #[serde(skip)]
    shown: String,
    /// Whether it can be put up.
    ok: bool,
    /// What the system said if not.
    why: Option<String>,
}

/// Control groups.
#[derive(Serialize, JsonSchema)]
struct Groups {
    /// The versions that are mounted.
    versions: Vec<u8>,
    /// Whether this user may limit memory by them.
    memory: bool,
    /// Whether this user may limit processes by them.
    pids: bool,
    /// Whether this user may limit processor time by them.
    cpu: bool,
}

#[derive(Serialize, JsonSchema)]
struct RuntimeReport {
    /// What it is called.
    name: &'static str,
    /// The level that it gives.
    level: String,
    /// Where it is.
    path: String,
    /// What it says of its version; null if it says nothing in time.
    version: Option<String>,
}

impl HostReport {
    pub(super) fn of(host: &Host) -> Self {
        let wall = |Tried { wall, refused }: &Tried| WallReport {
            id: wall.id(),
            shown: wall.to_string(),
            ok: refused.is_none(),
            why: refused.clone(),
        };
        let runtime = |found: &bartizan_sandbox::FoundRuntime| RuntimeReport {
            name: found.runtime.kind.name(),
            level: found.runtime.kind.level().to_string(),
            path: found.runtime.program.display().to_string(),
            version: found.version.clone(),
        };
        HostReport {
            system: host.system.clone(),
            confines: host.confines(),
            walls: host.walls.iter().map(wall).collect(),
            landlock: host.landlock,
            seccomp_actions: host.seccomp_actions.clone(),
            control_groups: Groups {
                versions: host.group_versions.clone(),
                memory: host.groups.memory,
                pids: host.groups.pids,
                cpu: host.groups.cpu,
            },
            security_modules: host.modules.clone(),
            apparmor_restricts: host.apparmor_restricts,
            kvm: match host.kvm {
                Device::Absent => "absent",
                Device::Closed => "closed",
                Device::Usable => "usable",
            },
            runtimes: host.runtimes.iter().map(runtime).collect(),
            remedies: remedies(host),
        }
    }

    pub(super) fn text(&self, paint: Paint) -> String {
        let mut out = format!("{} {}\n", paint.bold("Host"), inline(&self.system));
        let mut line = |name: &str, text: &str| _ = writeln!(out, "  {name:27}  {text}");
        for wall in &self.walls {
            let why = wall.why.as_deref().map(inline).unwrap_or_default();
            let said = if wall.ok { paint.like("allow", "yes") } else { paint.like("deny", &why) };
            line(&wall.shown, &said.to_string());
        }
        if self.walls.is_empty() {
            line("confinement", &paint.like("deny", "none: servers can be confined on Linux only").to_string());
        }
        line("filter can answer with", &said(&self.seccomp_actions, ", "));
        line("Landlock", &landlock(self.landlock));
        line("control groups", &self.control_groups.text());
        line(
            "security modules",
            &self.security_modules.as_deref().map_or("not said".to_owned(), |all| said(all, ", ")),
        );
        line("AppArmor", if self.apparmor_restricts { RESTRICTS } else { "does not restrict user namespaces" });
        line("KVM", self.kvm);
        if self.runtimes.is_empty() {
            line("runtimes", "none, so there are no levels `container` and `vm`");
        }
        for runtime in &self.runtimes {
            let version = runtime.version.as_deref().map_or("says no version".to_owned(), inline);
            line(
                &format!("level {}", runtime.level),
                &format!("{} ({}): {version}", runtime.name, inline(&runtime.path)),
            );
        }
        for remedy in &self.remedies {
            let (first, rest) = remedy.split_once('\n').unwrap_or((remedy, ""));
            let _ = writeln!(out, "  {}: {first}", paint.bold("to do"));
            rest.lines().for_each(|line| _ = writeln!(out, "      {line}"));
        }
        out.push('\n');
        out
    }
}

const RESTRICTS: &str = "lets only programs with a profile make user namespaces";

impl Groups {
    fn text(&self) -> String {
        let versions: Vec<_> = self.versions.iter().map(|version| format!("version {version}")).collect();
        let all = [("memory", self.memory), ("processes", self.pids), ("processor time", self.cpu)];
        let can: Vec<_> = all.iter().filter(|(_, can)| *can).map(|(name, _)| (*name).to_owned()).collect();
        let can = if can.is_empty() { "this user may divide none".to_owned() } else { said(&can, " and ") };
        let prefix = if can.starts_with("this") { "" } else { "limits of " };
        match versions.as_slice() {
            [] => "none are mounted".to_owned(),
            versions => format!("{}; {prefix}{can}", versions.join(" and ")),
        }
    }
}

fn said(all: &[String], between: &str) -> String {
    if all.is_empty() { "nothing".to_owned() } else { inline(&all.join(between)) }
}

/// The version, with what it has of what is used, and what newer ones would add.
fn landlock(version: Option<u32>) -> String {
    let Some(version) = version else { return "none, or switched off".to_owned() };
    let (has, lacks): (Vec<_>, Vec<_>) =
        LANDLOCK.iter().filter(|(.., used)| *used).partition(|(one, ..)| *one <= version);
    let names = |all: Vec<&(u32, &str, bool)>| all.iter().map(|(_, what, _)| *what).collect::<Vec<_>>().join("; ");
    let lacks = if lacks.is_empty() { String::new() } else { format!(" (a newer kernel adds: {})", names(lacks)) };
    format!("version {version}: {}{lacks}", names(has))
}

fn remedies(host: &Host) -> Vec<String> {
    let refused = |wall: Wall| host.walls.iter().any(|tried| tried.wall == wall && tried.refused.is_some());
    let setting =
        |name: &str| std::fs::read_to_string(format!("/proc/sys/{name}")).unwrap_or_default().trim().to_owned();
    let mut all = Vec::new();
    if host.apparmor_restricts && refused(Wall::Users) {
        let program = std::env::current_exe().unwrap_or_else(|_| Path::new("/usr/bin/bartizan").to_owned());
        all.push(format!(
            "let Bartizan make user namespaces: write this to /etc/apparmor.d/bartizan, then `sudo apparmor_parser -r \
             /etc/apparmor.d/bartizan`\n{}",
            inline_lines(&Host::apparmor_profile(&program))
        ));
    } else if refused(Wall::Users) && setting("kernel/unprivileged_userns_clone") == "0" {
        all.push("let users make namespaces: `sudo sysctl kernel.unprivileged_userns_clone=1`".to_owned());
    } else if refused(Wall::Users) && setting("user/max_user_namespaces") == "0" {
        all.push("let users make namespaces: `sudo sysctl user.max_user_namespaces=10000`".to_owned());
    } else if refused(Wall::Users) {
        all.push(
            "user namespaces are refused by what Bartizan runs in: in a container, its seccomp profile has to allow `clone` \
             and `unshare` with namespaces"
                .to_owned(),
        );
    }
    if !refused(Wall::Users) && refused(Wall::Listing) {
        all.push(
            "Bartizan runs in a container that hides parts of /proc: have the runtime leave them open (`--security-opt \
             systempaths=unconfined` for docker, `--security-opt unmask=ALL` for podman)"
                .to_owned(),
        );
    }
    if host.confines() && host.landlock.is_none() {
        all.push(
            "have Landlock as a second wall: a kernel of 5.13 or later, with `landlock` among its `lsm=`".to_owned(),
        );
    }
    if host.confines() && !(host.groups.memory && host.groups.pids && host.groups.cpu) {
        all.push(
            "have the kernel keep all limits: start Bartizan in a control group that may be divided, such as with `systemd-run \
             --user --scope -p Delegate=yes bartizan serve`"
                .to_owned(),
        );
    }
    all
}

fn inline_lines(text: &str) -> String {
    text.lines().map(inline).collect::<Vec<_>>().join("\n")
}
