//! What clients find out about the gateway before they send anything: its certificate.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use crate::file::{CertificateName, ClientCertificate, ServerTlsTable, TlsTable, TlsVersion};
use crate::paths;
use crate::problems::Problems;
use crate::tree::{self, Node};

/// Larger files hold something else.
const MAX_FILE_BYTES: u64 = 1 << 20;

/// Whether clients can connect over https, and servers be reached.
pub(crate) const HAS_TLS: bool = cfg!(feature = "tls");

/// How clients connect over TLS. The files are there, and hold what they should by the look of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tls {
    /// The certificate, followed by those between it and its authority, as PEM.
    pub certificate: PathBuf,
    /// Its private key, as PEM.
    pub key: PathBuf,
    /// The oldest version of TLS that is spoken.
    pub minimum: TlsVersion,
    /// How clients show certificates, if they do.
    pub clients: Option<Clients>,
}

/// How clients show certificates.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Clients {
    /// The authorities that sign them, as PEM.
    pub ca: PathBuf,
    /// Whether there is no connection without one.
    pub required: bool,
    /// Which of its names says who it is.
    pub name: CertificateName,
}

/// How one server is reached over TLS, for no other. The files are there, and hold what they should by the look of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerTls {
    /// The certificate that is shown to it, with those between it and its authority, and its private key, as PEM.
    pub identity: Option<(PathBuf, PathBuf)>,
    /// The authorities that may have signed its certificate, as PEM; without, those that the system trusts.
    pub ca: Option<PathBuf>,
}

/// Whether nobody comes in who has not shown a certificate.
pub(crate) fn knows_everybody(table: &TlsTable) -> bool {
    table.client_ca.is_some() && table.client_certificate == Some(ClientCertificate::Required)
}

/// The settings of `[SECTION.tls]`.
pub(crate) fn tls(
    table: Option<&TlsTable>,
    section: &str,
    (root, directory): (&Node<'_>, &Path),
    name: CertificateName,
    problems: &mut Problems,
) -> Option<Tls> {
    let table = table?;
    if !HAS_TLS {
        problems
            .error(tree::key_place(root, &[section, "tls"]), "this bartizan is built without TLS and serves none")
            .help("use one that is built with the feature `tls`, as released ones are");
        return None;
    }
    let table_path = [section, "tls"];
    let reading = Reading { table: &table_path, root, directory };
    let certificate = reading.file("certificate", table.certificate.as_deref(), "CERTIFICATE-----", problems);
    let key = reading.file("key", table.key.as_deref(), "PRIVATE KEY-----", problems);
    if let Some(key) = &key {
        reading.is_private(key, problems);
    }
    let clients = reading.clients(table, name, problems);
    Some(Tls { certificate: certificate?, key: key?, minimum: table.minimum, clients })
}

/// The settings of `[server.NAME.tls]`.
pub(crate) fn of_server(
    table: &ServerTlsTable,
    name: &str,
    (root, directory): (&Node<'_>, &Path),
    problems: &mut Problems,
) -> Option<ServerTls> {
    let path = ["server", name, "tls"];
    let reading = Reading { table: &path, root, directory };
    let ca = table.ca.as_deref().and_then(|ca| reading.file("ca", Some(ca), "CERTIFICATE-----", problems));
    let identity = if table.certificate.is_some() || table.key.is_some() {
        let certificate = reading.file("certificate", table.certificate.as_deref(), "CERTIFICATE-----", problems);
        let key = reading.file("key", table.key.as_deref(), "PRIVATE KEY-----", problems);
        if let Some(key) = &key {
            reading.is_private(key, problems);
        }
        certificate.zip(key)
    } else {
        None
    };
    Some(ServerTls { identity, ca })
}

/// The same for somebody who has authorities only, which `path` names.
pub(crate) fn of_authority(
    ca: Option<&Path>,
    path: &[&str],
    (root, directory): (&Node<'_>, &Path),
    problems: &mut Problems,
) -> Option<ServerTls> {
    let ca = Reading { table: path, root, directory }.file("ca", Some(ca?), "CERTIFICATE-----", problems);
    Some(ServerTls { identity: None, ca })
}

struct Reading<'a> {
    table: &'a [&'a str],
    root: &'a Node<'a>,
    directory: &'a Path,
}

impl Reading<'_> {
    fn place(&self, key: &str) -> tree::Place {
        tree::place(self.root, &self.path(key))
    }

    fn path<'b>(&'b self, key: &'b str) -> Vec<&'b str> {
        self.table.iter().copied().chain([key]).collect()
    }

    fn clients(&self, table: &TlsTable, name: CertificateName, problems: &mut Problems) -> Option<Clients> {
        let given = (table.client_ca.as_deref(), table.client_certificate);
        let wrong = ["client_ca", "client_certificate"].iter().any(|key| problems.is_broken(&self.path(key)));
        let (alone, missing) = match given {
            (Some(ca), Some(wanted)) => {
                let ca = self.file("client_ca", Some(ca), "CERTIFICATE-----", problems)?;
                return Some(Clients { ca, required: wanted == ClientCertificate::Required, name });
            }
            (Some(_), None) => ("client_ca", "client_certificate = \"optional\" or \"required\""),
            (None, Some(_)) => ("client_certificate", "client_ca = \"ca.pem\""),
            (None, None) => return None,
        };
        if !wrong {
            let place = tree::key_place(self.root, &self.path(alone));
            problems.error(place, format!("`{alone}` means nothing alone")).help(missing);
        }
        None
    }

    /// The path under this key, of a file in which there is something of that kind.
    fn file(&self, key: &str, named: Option<&Path>, kind: &str, problems: &mut Problems) -> Option<PathBuf> {
        let Some(named) = named else {
            // One that is no text was reported where it stands.
            if !problems.is_broken(&self.path(key)) {
                let place = tree::key_place(self.root, self.table);
                problems
                    .error(place, format!("[{}] needs `{key}`", self.table.join(".")))
                    .help("certificate = \"chain.pem\" and key = \"key.pem\", both as PEM");
            }
            return None;
        };
        let path = paths::beside(self.directory, named);
        match content(&path) {
            Ok(text) if text.contains("-----BEGIN ") && text.contains(kind) => Some(path),
            Ok(_) => {
                let what = kind.trim_end_matches('-').to_lowercase();
                problems.error(self.place(key), format!("there is no {what} in {}", path.display())).help("as PEM");
                None
            }
            Err(why) => {
                problems.error(self.place(key), format!("cannot read {}: {why}", path.display()));
                None
            }
        }
    }

    fn is_private(&self, key: &Path, problems: &mut Problems) {
        if fs::metadata(key).is_ok_and(|meta| meta.permissions().mode() & 0o077 != 0) {
            let shown = key.display();
            problems
                .warn(self.place("key"), format!("{shown} holds a secret and is open to other users"))
                .help(format!("chmod 600 {shown}"));
        }
    }
}

fn content(path: &Path) -> Result<String, String> {
    // Looked at first, as opening a pipe would wait for its other end.
    let meta = fs::metadata(path).map_err(|error| error.to_string())?;
    if !meta.is_file() {
        return Err("it is not a regular file".to_owned());
    }
    if meta.len() > MAX_FILE_BYTES {
        return Err(format!("it is larger than {MAX_FILE_BYTES} bytes"));
    }
    fs::read(path).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).map_err(|error| error.to_string())
}
