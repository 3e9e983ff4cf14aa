//! Whom a confined program trusts: whom it would trust without a sandbox, and the authority that ends TLS on its way out.
//!
//! Threat: a file of certificates that the program may write to, or that another one may, says who is a host and who is not; and
//! in its place may be a link to whatever the user can read, or something that is never read to its end. So each start has files
//! of its own, beside its socket, which it sees read-only, and nothing is in them but certificates; the key to that authority is
//! in no file.

use std::ffi::OsString;
use std::io::{self, Read as _};
use std::path::PathBuf;
use std::sync::OnceLock;

use bartizan_sandbox::Launch;

use super::place::Place;
use crate::authorities::{FURTHER, WHOLE};
use crate::files::open_regular;

/// Has what is started trust `authority` besides.
pub(super) fn hand_over(launch: &mut Launch, place: &Place, authority: &str) -> io::Result<Vec<PathBuf>> {
    // By whether it is all of them, and by the file that the variable names already.
    let mut made: Vec<((bool, Option<OsString>), PathBuf)> = Vec::new();
    // Where a program's own variable names none, most look at this one.
    let usual = launch.env.get("SSL_CERT_FILE").map(ToOwned::to_owned);
    let variables = WHOLE.iter().map(|name| (*name, true)).chain(FURTHER.iter().map(|name| (*name, false)));
    for (name, whole) in variables {
        let named = launch.env.get(name).map(ToOwned::to_owned);
        let kind = (whole, named.or_else(|| usual.clone().filter(|_| whole)));
        let known = made.iter().find(|(held, _)| *held == kind).map(|(_, path)| path.clone());
        let path = match known {
            Some(path) => path,
            None => {
                let before = match &kind {
                    (_, Some(named)) => read(named)?,
                    (true, None) => system().to_owned(),
                    (false, None) => String::new(),
                };
                let path = place.certificates(made.len(), &[&before, "\n", authority])?;
                made.push((kind, path.clone()));
                path
            }
        };
        launch.env.set(name, path);
    }
    Ok(made.into_iter().map(|(_, path)| path).collect())
}

/// Bytes of a file of certificates: that of a system is a quarter of a megabyte.
const LARGEST: u64 = 4 << 20;

/// The certificates in a file, and nothing else that is in it.
fn read(named: &OsString) -> io::Result<String> {
    let open = || {
        let file = open_regular(named.as_ref())?;
        if file.metadata()?.len() > LARGEST {
            return Err(io::Error::other("it is no file of certificates"));
        }
        let mut text = Vec::new();
        file.take(LARGEST).read_to_end(&mut text)?;
        Ok(certificates_in(&String::from_utf8_lossy(&text)))
    };
    open().map_err(|error| io::Error::new(error.kind(), format!("cannot read {}: {error}", named.to_string_lossy())))
}

/// The certificates of a text in PEM (RFC 7468), without what stands between them.
fn certificates_in(text: &str) -> String {
    const BEGIN: &str = "-----BEGIN CERTIFICATE-----";
    const END: &str = "-----END CERTIFICATE-----";
    let is_base64 = |line: &str| line.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+/=".contains(&byte));
    let mut found = String::new();
    let mut block: Option<String> = None;
    for line in text.lines().map(str::trim) {
        match (line, &mut block) {
            (BEGIN, _) => block = Some(format!("{BEGIN}\n")),
            (END, Some(held)) => {
                found.extend([held.as_str(), END, "\n"]);
                block = None;
            }
            (line, Some(held)) if is_base64(line) => held.extend([line, "\n"]),
            _ => block = None,
        }
    }
    found
}

/// The authorities that the system trusts; read once, as they are for the proxies.
fn system() -> &'static str {
    static SYSTEM: OnceLock<String> = OnceLock::new();
    SYSTEM.get_or_init(bartizan_egress::native_pem)
}

#[cfg(test)]
mod tests {
    use super::*;
    use bartizan_sandbox::Environment;

    #[test]
    fn each_variable_names_what_it_named_and_the_authority() {
        let folder = tempfile::tempdir().unwrap();
        let pem = |name: &str| format!("-----BEGIN CERTIFICATE-----\n{name}\n-----END CERTIFICATE-----\n");
        let write = |name: &str| {
            let path = folder.path().join(name);
            std::fs::write(&path, format!("the key of {name}\n{}", pem(name))).unwrap();
            path
        };
        let (own, pip) = (write("own"), write("pip"));
        for (given, whole, node) in [
            (vec![("SSL_CERT_FILE", &own), ("PIP_CERT", &pip), ("NODE_EXTRA_CA_CERTS", &own)], pem("own"), pem("own")),
            (vec![("PIP_CERT", &pip)], system().to_owned(), String::new()),
        ] {
            let place = Place::make().unwrap();
            let mut launch = Launch::new("true");
            launch.env = Environment::empty();
            for (name, path) in given {
                launch.env.set(name, path);
            }
            let files = hand_over(&mut launch, &place, "AUTHORITY").unwrap();
            let of = |name: &str| std::fs::read_to_string(launch.env.get(name).unwrap()).unwrap();
            for name in ["SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "GIT_SSL_CAINFO"] {
                assert_eq!(of(name), format!("{whole}\nAUTHORITY"), "{name}");
            }
            assert_eq!((of("PIP_CERT"), of("DENO_CERT")), (pem("pip") + "\nAUTHORITY", "\nAUTHORITY".to_owned()));
            assert_eq!(of("NODE_EXTRA_CA_CERTS"), format!("{node}\nAUTHORITY"));
            assert!(files.len() <= 4 && files.iter().all(|path| path.is_file()));
        }
        // What would never end is not waited for, nor is anything taken that is no file.
        rustix::fs::mknodat(rustix::fs::CWD, folder.path().join("pipe"), rustix::fs::FileType::Fifo, 0o600.into(), 0)
            .unwrap();
        for name in ["none.pem", "pipe", "."] {
            let mut launch = Launch::new("true");
            launch.env.set("PIP_CERT", folder.path().join(name));
            let error = hand_over(&mut launch, &Place::make().unwrap(), "AUTHORITY").unwrap_err();
            assert!(error.to_string().contains(name), "{error}");
        }
    }

    #[test]
    fn nothing_but_certificates_is_handed_on() {
        let (begin, end) = ("-----BEGIN CERTIFICATE-----\n", "-----END CERTIFICATE-----\n");
        for (text, expected) in [
            (format!("# a comment\n{begin}YQ==\n{end}\nmore\n"), format!("{begin}YQ==\n{end}")),
            (format!("  {begin}YQ==\r\n {end}{begin}Yg\n{end}"), format!("{begin}YQ==\n{end}{begin}Yg\n{end}")),
            (
                "-----BEGIN OPENSSH PRIVATE KEY-----\nYQ==\n-----END OPENSSH PRIVATE KEY-----\n".to_owned(),
                String::new(),
            ),
            (format!("{begin}root:x:0:0\n{end}"), String::new()),
            (format!("{begin}YQ==\n-----END PRIVATE KEY-----\nZm9v\n{end}"), String::new()),
            (format!("{begin}YQ==\n"), String::new()),
            (format!("YQ==\n{end}"), String::new()),
            ("root:x:0:0\n".to_owned(), String::new()),
        ] {
            assert_eq!(certificates_in(&text), expected, "{text}");
        }
    }
}
