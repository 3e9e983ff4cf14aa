//! Places that no server is shown while it is looked at what it needs, and that no profile that comes of that gives.

use std::path::{Path, PathBuf};

use super::real;

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
    (".claude", "what a client of MCP keeps"),
    (".claude.json", "what a client of MCP keeps"),
    (".codex", "what a client of MCP keeps"),
    (".gemini", "what a client of MCP keeps"),
    (".cursor", "what a client of MCP keeps"),
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

/// What is not shown to a server: what secrets are known to lie in, of this user and of the machine, and what is Bartizan's own.
///
/// Where such a place is a link, what it leads to is not shown either.
#[must_use]
pub fn hidden(home: Option<&Path>, own: &[PathBuf]) -> Vec<HiddenPlace> {
    let of_a_user = home.into_iter().flat_map(|home| OF_A_USER.iter().map(|(name, why)| (home.join(name), *why)));
    let of_the_machine = OF_THE_MACHINE.iter().map(|(path, why)| (PathBuf::from(path), *why));
    let own = own.iter().map(|path| (path.clone(), OWN_PLACE));
    let mut all = Vec::new();
    for (path, why) in own.chain(of_a_user).chain(of_the_machine) {
        for path in [Some(path.clone()), real(&path).filter(|real| *real != path)].into_iter().flatten() {
            all.push(HiddenPlace { path, why });
        }
    }
    all
}
