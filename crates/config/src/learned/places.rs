//! Places that no server is shown while it is looked at what it needs, and that no profile that comes of that gives.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use super::{leads, plain};

/// A place, and why it is not shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HiddenPlace {
    /// Where it is.
    pub path: PathBuf,
    /// What it holds.
    pub why: &'static str,
}

/// Why nothing of Bartizan's own is shown, whoever names it.
pub(super) const OWN_PLACE: &str = "Bartizan's own";

/// In the home directory of a user.
const OF_A_USER: &[(&str, &str)] = &[
    (".ssh", "keys of ssh"),
    (".gnupg", "keys of GnuPG"),
    (".pki", "certificates with their keys"),
    (".aws", "credentials of AWS"),
    (".azure", "credentials of Azure"),
    (".config/gcloud", "credentials of Google Cloud"),
    (".oci", "credentials of Oracle Cloud"),
    (".kube", "credentials of Kubernetes"),
    (".docker", "credentials of registries"),
    (".config/containers", "credentials of registries"),
    (".netrc", "passwords"),
    (".npmrc", "tokens of npm"),
    (".yarnrc.yml", "tokens of npm"),
    (".pypirc", "passwords of PyPI"),
    (".config/pip", "passwords of PyPI"),
    (".pip", "passwords of PyPI"),
    (".cargo/credentials", "tokens of crates.io"),
    (".cargo/credentials.toml", "tokens of crates.io"),
    (".gem/credentials", "tokens of RubyGems"),
    (".m2/settings.xml", "passwords of Maven"),
    (".gradle/gradle.properties", "passwords of Gradle"),
    (".git-credentials", "passwords of git"),
    (".config/git/credentials", "passwords of git"),
    (".config/gh", "tokens of GitHub"),
    (".config/glab-cli", "tokens of GitLab"),
    (".config/hub", "tokens of GitHub"),
    (".pgpass", "passwords of PostgreSQL"),
    (".my.cnf", "passwords of MySQL"),
    (".huggingface", "a token of Hugging Face"),
    (".cache/huggingface/token", "a token of Hugging Face"),
    (".cache/huggingface/stored_tokens", "tokens of Hugging Face"),
    (".config/openai", "keys of OpenAI"),
    (".terraform.d", "tokens of Terraform"),
    (".vault-token", "a token of Vault"),
    (".config/op", "a password manager"),
    (".config/Bitwarden CLI", "a password manager"),
    (".password-store", "a password manager"),
    (".config/rclone", "credentials of storage"),
    (".s3cfg", "credentials of storage"),
    (".local/share/keyrings", "a keyring"),
    (".local/share/kwalletd", "a keyring"),
    (".mozilla", "a browser's profile"),
    (".config/google-chrome", "a browser's profile"),
    (".config/chromium", "a browser's profile"),
    (".config/BraveSoftware", "a browser's profile"),
    (".config/microsoft-edge", "a browser's profile"),
    (".config/vivaldi", "a browser's profile"),
    (".config/opera", "a browser's profile"),
    (".var/app", "profiles of applications"),
    ("snap", "profiles of applications"),
    (".thunderbird", "mail"),
    (".config/Signal", "messages"),
    (".bash_history", "what was typed"),
    (".zsh_history", "what was typed"),
    (".python_history", "what was typed"),
    (".node_repl_history", "what was typed"),
    (".psql_history", "what was typed"),
    (".mysql_history", "what was typed"),
    (".local/share/fish/fish_history", "what was typed"),
    (".config/fish/fish_history", "what was typed"),
    (".claude", "what a client of MCP keeps"),
    (".claude.json", "what a client of MCP keeps"),
    (".codex", "what a client of MCP keeps"),
    (".gemini", "what a client of MCP keeps"),
    (".cursor", "what a client of MCP keeps"),
    (".codeium", "what a client of MCP keeps"),
    (".continue", "what a client of MCP keeps"),
    (".windsurf", "what a client of MCP keeps"),
    (".aider.conf.yml", "what a client of MCP keeps"),
    (".local/share/opencode", "what a client of MCP keeps"),
    (".config/opencode", "what a client of MCP keeps"),
    (".config/zed", "what a client of MCP keeps"),
    (".config/VSCodium", "what a client of MCP keeps"),
    (".config/Windsurf", "what a client of MCP keeps"),
    (".config/Claude", "what a client of MCP keeps"),
    (".config/Code", "what a client of MCP keeps"),
    (".config/Cursor", "what a client of MCP keeps"),
];

/// Of the machine.
const OF_THE_MACHINE: &[(&str, &str)] = &[
    ("/etc/shadow", "passwords of users"),
    ("/etc/shadow-", "passwords of users"),
    ("/etc/gshadow", "passwords of groups"),
    ("/etc/gshadow-", "passwords of groups"),
    ("/etc/security/opasswd", "passwords of users"),
    ("/etc/sudoers", "who may be root"),
    ("/etc/sudoers.d", "who may be root"),
    ("/etc/ssh", "keys of this host"),
    ("/etc/npmrc", "tokens of npm"),
    ("/etc/pip.conf", "passwords of PyPI"),
    ("/etc/ssl/private", "keys of this host"),
    ("/etc/pki/tls/private", "keys of this host"),
    ("/etc/letsencrypt", "keys of this host"),
    ("/etc/krb5.keytab", "keys of this host"),
    ("/etc/wireguard", "keys of this host"),
    ("/etc/NetworkManager/system-connections", "passwords of networks"),
    ("/etc/kubernetes", "credentials of Kubernetes"),
    ("/etc/rancher", "credentials of Kubernetes"),
    ("/var/lib/kubelet", "credentials of Kubernetes"),
    ("/var/lib/docker", "what containers hold"),
    ("/var/lib/containers", "what containers hold"),
    ("/var/lib/sss", "passwords of users"),
    ("/var/lib/systemd/credential.secret", "keys of this host"),
    ("/var/spool/cron", "what others run"),
    ("/var/backups", "copies of what is hidden"),
];

/// Directories in a home that a variable puts elsewhere.
const MOVED: &[(&str, &str)] =
    &[("XDG_CONFIG_HOME", ".config"), ("XDG_DATA_HOME", ".local/share"), ("XDG_CACHE_HOME", ".cache")];

/// What variables name, and where in that it lies.
const NAMED: &[(&str, &str, &str)] = &[
    ("KUBECONFIG", "", "credentials of Kubernetes"),
    ("GNUPGHOME", "", "keys of GnuPG"),
    ("DOCKER_CONFIG", "", "credentials of registries"),
    ("REGISTRY_AUTH_FILE", "", "credentials of registries"),
    ("AWS_SHARED_CREDENTIALS_FILE", "", "credentials of AWS"),
    ("AWS_CONFIG_FILE", "", "credentials of AWS"),
    ("AWS_WEB_IDENTITY_TOKEN_FILE", "", "credentials of AWS"),
    ("GOOGLE_APPLICATION_CREDENTIALS", "", "credentials of Google Cloud"),
    ("CLOUDSDK_CONFIG", "", "credentials of Google Cloud"),
    ("AZURE_CONFIG_DIR", "", "credentials of Azure"),
    ("OCI_CLI_CONFIG_FILE", "", "credentials of Oracle Cloud"),
    ("GH_CONFIG_DIR", "", "tokens of GitHub"),
    ("GLAB_CONFIG_DIR", "", "tokens of GitLab"),
    ("NETRC", "", "passwords"),
    ("NPM_CONFIG_USERCONFIG", "", "tokens of npm"),
    ("npm_config_userconfig", "", "tokens of npm"),
    ("PIP_CONFIG_FILE", "", "passwords of PyPI"),
    ("CARGO_HOME", "credentials", "tokens of crates.io"),
    ("CARGO_HOME", "credentials.toml", "tokens of crates.io"),
    ("GRADLE_USER_HOME", "gradle.properties", "passwords of Gradle"),
    ("PGPASSFILE", "", "passwords of PostgreSQL"),
    ("TF_CLI_CONFIG_FILE", "", "tokens of Terraform"),
    ("PASSWORD_STORE_DIR", "", "a password manager"),
    ("RCLONE_CONFIG", "", "credentials of storage"),
    ("HF_HOME", "token", "a token of Hugging Face"),
    ("HF_HOME", "stored_tokens", "tokens of Hugging Face"),
    ("HF_TOKEN_PATH", "", "a token of Hugging Face"),
    ("HISTFILE", "", "what was typed"),
    ("CLAUDE_CONFIG_DIR", "", "what a client of MCP keeps"),
    ("CODEX_HOME", "", "what a client of MCP keeps"),
];

/// What is not shown to a server: what secrets are known to lie in, of this user, who may have several `homes`, and of the
/// machine, and what is Bartizan's own. By `variable` a user says where such a place is instead of in the home.
///
/// Where such a place is a link, or lies in one, what it leads to is not shown either.
#[must_use]
pub fn hidden(homes: &[PathBuf], own: &[PathBuf], variable: impl Fn(&str) -> Option<OsString>) -> Vec<HiddenPlace> {
    let mut all: Vec<(PathBuf, &'static str)> = own.iter().map(|path| (path.clone(), OWN_PLACE)).collect();
    for (name, why) in OF_A_USER {
        let moved = MOVED.iter().filter_map(|(of, at)| Some((variable(of)?, Path::new(name).strip_prefix(at).ok()?)));
        let moved = moved.filter_map(|(value, below)| Some((place(&value)?.join(below), *why)));
        all.extend(homes.iter().map(|home| (home.join(name), *why)).chain(moved));
    }
    for (of, below, why) in NAMED {
        // Some take a list, and each of the others leads nowhere if it is read as one.
        let value = variable(of).unwrap_or_default();
        let paths = std::env::split_paths(&value).chain([PathBuf::from(&value)]);
        let places = paths.filter_map(|path| place(path.as_os_str()));
        all.extend(places.map(|at| if below.is_empty() { (at, *why) } else { (at.join(below), *why) }));
    }
    all.extend(OF_THE_MACHINE.iter().map(|(path, why)| (PathBuf::from(path), *why)));
    let mut known = BTreeSet::new();
    let both = all.into_iter().flat_map(|(path, why)| {
        let real = leads(&path);
        [path, real].map(|path| HiddenPlace { path, why })
    });
    both.filter(|place| known.insert(place.path.clone())).collect()
}

/// What a variable names; none if that is nothing, no place of its own, or a device.
fn place(value: &OsStr) -> Option<PathBuf> {
    let path = std::path::absolute(Path::new(value)).ok()?;
    (path.parent().is_some() && !path.starts_with("/dev")).then(|| plain(&path))
}
