//! What one configured server would get, as it is printed.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use bartizan_config::{Config, Sandbox, Upstream};
use bartizan_gateway::setup::{Tried, try_out};
use bartizan_sandbox::{Confinement, Host, Keeper, Kept, Network, keepers, kept, unmet};
use schemars::JsonSchema;
use serde::Serialize;

use crate::output::Paint;
use crate::text::inline;

/// A server of the configuration.
#[derive(Serialize, JsonSchema)]
pub(super) struct ServerReport {
    /// Its name.
    name: String,
    /// Whether it would start as configured.
    starts: bool,
    /// Why not.
    why: Option<String>,
    /// `process` if it is confined, `none` if not; null for one that is reached by a URL.
    level: Option<String>,
    /// Its program as configured, or its URL.
    at: String,
    /// What it sees of the machine; null if it is not confined.
    files: Option<Files>,
    /// What it reaches.
    network: Vec<String>,
    /// Its limits, and by what each is kept.
    limits: Vec<Limit>,
    /// What it requires and this host does not give.
    unmet: Vec<UnmetReport>,
    /// What has no effect, or less than it says.
    warnings: Vec<String>,
}

/// Files and directories.
#[derive(Serialize, JsonSchema)]
struct Files {
    /// May be changed.
    rw: Vec<PathBuf>,
    /// May be read and executed.
    ro: Vec<PathBuf>,
    /// Names below each of `rw` that stay as they are.
    deny: Vec<PathBuf>,
    /// Seen empty.
    hide: Vec<PathBuf>,
    /// Its home directory, in memory; null if that is a directory of `rw`.
    home: Option<PathBuf>,
    /// Bytes for that and for temporary files.
    tmp: u64,
}

#[derive(Serialize, JsonSchema)]
struct Limit {
    /// As the configuration calls it.
    name: &'static str,
    /// Bytes, a number, or of `cpu` thousandths of a processor.
    value: u64,
    /// `control_group`, `watch`, `user_limit`, `kernel` or `nobody`.
    kept_by: &'static str,
    #[serde(skip)]
    keeper: Keeper,
}

#[derive(Serialize, JsonSchema)]
struct UnmetReport {
    /// As the configuration has it.
    require: String,
    /// What to do about it.
    remedy: &'static str,
}

/// All of the configuration, each started but for its program, in this workspace and where servers may write to these
/// directories.
pub(super) async fn all(config: &Config, host: &Host, place: (&Path, &[PathBuf])) -> Vec<ServerReport> {
    let mut tried = try_out(config, place.0, place.1).await;
    let report = |(name, held): (&String, &bartizan_config::Server)| match &held.upstream {
        Upstream::Http(http) => Some(remote(name, &http.shown)),
        Upstream::Command(command) => {
            let at = tried.iter().position(|(tried, _)| tried == name)?;
            Some(local(name, &command.sandbox, tried.swap_remove(at).1, host))
        }
    };
    config.servers.iter().filter_map(report).collect()
}

fn remote(name: &str, url: &str) -> ServerReport {
    ServerReport {
        name: name.to_owned(),
        starts: true,
        why: None,
        level: None,
        at: url.to_owned(),
        files: None,
        network: Vec::new(),
        limits: Vec::new(),
        unmet: Vec::new(),
        warnings: Vec::new(),
    }
}

fn local(name: &str, sandbox: &Sandbox, tried: Tried, host: &Host) -> ServerReport {
    let Tried { launch, refused, uninstalled } = tried;
    let level = launch.level().to_string();
    let at = launch.program.to_string_lossy().into_owned();
    let mut report = ServerReport { starts: refused.is_none(), why: refused, level: Some(level), ..remote(name, &at) };
    let Some(confinement) = launch.confinement else {
        report.network.push("all that this machine reaches".to_owned());
        report
            .warnings
            .push(format!("it runs as you, unconfined; `serve` has to be told so: --allow-unconfined {name}"));
        return report;
    };
    let groups = kept(&confinement.limits);
    report.unmet = unmet(&confinement, host.landlock, groups)
        .iter()
        .map(|unmet| UnmetReport { require: unmet.guarantee.to_string(), remedy: unmet.remedy })
        .collect();
    report.network = network(&confinement.network, sandbox);
    report.limits = limits(&confinement, groups);
    report.warnings = report.limits.iter().filter_map(Limit::warning).collect();
    if uninstalled {
        report.warnings.push(format!(
            "its packages are not installed yet: the first start does so, and `bartizan sandbox install {name}` before it"
        ));
    }
    report.files = Some(Files {
        rw: confinement.writable,
        ro: confinement.read_only,
        deny: confinement.protected.into_iter().map(|protected| protected.name).collect(),
        hide: confinement.hidden,
        home: confinement.home,
        tmp: confinement.scratch,
    });
    report
}

fn network(network: &Network, sandbox: &Sandbox) -> Vec<String> {
    match network {
        Network::Host => vec!["all that this machine reaches".to_owned()],
        Network::None | Network::Relay(_) => sandbox.hosts.iter().map(ToString::to_string).collect(),
    }
}

fn limits(confinement: &Confinement, groups: Kept) -> Vec<Limit> {
    let limit =
        |(name, value, keeper): (&'static str, u64, Keeper)| Limit { name, value, kept_by: keeper.id(), keeper };
    keepers(&confinement.limits, groups).into_iter().map(limit).collect()
}

impl Limit {
    fn warning(&self) -> Option<String> {
        let name = self.name;
        match self.keeper {
            Keeper::Nobody => {
                Some(format!("`limits.{name}` has no effect: there is no control group that can be divided"))
            }
            Keeper::Watch => Some(format!(
                "`limits.{name}` is kept by looking at it now and then: a fast program takes more until it is ended"
            )),
            Keeper::Group | Keeper::User | Keeper::Kernel => None,
        }
    }

    fn text(&self) -> String {
        let Limit { name, value, keeper, .. } = self;
        let value = match *name {
            "memory" | "fsize" => size(*value),
            "cpu" => format!("{}.{:03}", value / 1000, value % 1000),
            _ => value.to_string(),
        };
        format!("{name} {value}, {keeper}")
    }
}

/// In the largest unit of which it is a whole number.
fn size(bytes: u64) -> String {
    let units = [(1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")];
    match units.into_iter().find(|(unit, _)| bytes >= *unit && bytes.is_multiple_of(*unit)) {
        Some((unit, name)) => format!("{} {name}", bytes / unit),
        None => format!("{bytes} bytes"),
    }
}

/// What every confined program sees, which is said in a word.
fn is_of_the_system(path: &Path) -> bool {
    ["/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/etc", "/nix"].iter().any(|system| path.starts_with(system))
}

impl ServerReport {
    pub(super) fn starts(&self) -> bool {
        self.starts
    }

    pub(super) fn text(&self, paint: Paint) -> String {
        let verdict = match (self.starts, &self.level) {
            (_, None) => paint.like("allow", "is reached by its URL, and nothing is started for it"),
            (true, _) => paint.like("allow", "would start"),
            (false, _) => paint.like("deny", "would not start"),
        };
        let mut out = format!("{} {}: {verdict}\n", paint.bold("Server"), self.name);
        let mut line = |name: &str, text: &str| _ = writeln!(out, "  {name:9}  {text}");
        if let Some(why) = &self.why {
            line("why", &inline(why));
        }
        for unmet in &self.unmet {
            line("missing", &format!("{}: {}", unmet.require, unmet.remedy));
        }
        line("at", &inline(&self.at));
        if let Some(level) = &self.level {
            line("level", level);
            self.files.iter().for_each(|files| files.lines(&mut line));
            let reached = if self.network.is_empty() { "itself".to_owned() } else { self.network.join(", ") };
            line("network", &inline(&reached));
            self.limits.iter().for_each(|limit| line("limit", &limit.text()));
            self.warnings.iter().for_each(|warning| line("warning", warning));
        }
        out.push('\n');
        out
    }
}

impl Files {
    fn lines(&self, line: &mut impl FnMut(&str, &str)) {
        let list = |paths: &mut dyn Iterator<Item = &PathBuf>| {
            paths.map(|path| inline(&path.display().to_string())).collect::<Vec<_>>().join(", ")
        };
        if !self.rw.is_empty() {
            let but = if self.deny.is_empty() {
                String::new()
            } else {
                format!(", but not in them {}", list(&mut self.deny.iter()))
            };
            line("changes", &format!("{}{but}", list(&mut self.rw.iter())));
        }
        let own = list(&mut self.ro.iter().filter(|path| !is_of_the_system(path)));
        let own = if own.is_empty() { own } else { format!("{own}, and ") };
        line("reads", &format!("{own}the system's programs and libraries"));
        if !self.hide.is_empty() {
            line("empty", &list(&mut self.hide.iter()));
        }
        let home =
            self.home.as_ref().map(|home| format!("{} and ", inline(&home.display().to_string()))).unwrap_or_default();
        line("in memory", &format!("{home}/tmp, {} together", size(self.tmp)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_said_in_whole_units() {
        for (bytes, expected) in
            [(1 << 30, "1 GiB"), (1536 << 20, "1536 MiB"), (64 << 20, "64 MiB"), (1000, "1000 bytes"), (2048, "2 KiB")]
        {
            assert_eq!(size(bytes), expected);
        }
    }
}
