//! Whom a confined program trusts: whom it would trust without a sandbox, and the authority that ends TLS on its way out.
//!
//! Threat: a file of certificates that the program may write to, or that another one may, says who is a host and who is not.
//! So each start has files of its own, beside its socket, which it sees read-only; the key to that authority is in no file.

use std::ffi::OsString;
use std::io;
use std::path::PathBuf;
use std::sync::OnceLock;

use bartizan_sandbox::Launch;

use super::place::Place;

/// Variables that name the file in which all authorities are that a program trusts.
const WHOLE: &[&str] = &[
    "SSL_CERT_FILE",
    "CURL_CA_BUNDLE",
    "REQUESTS_CA_BUNDLE",
    "GIT_SSL_CAINFO",
    "AWS_CA_BUNDLE",
    "CARGO_HTTP_CAINFO",
    "PIP_CERT",
];
/// Variables that name a file of authorities beside those that a program trusts anyway.
const FURTHER: &[&str] = &["NODE_EXTRA_CA_CERTS", "DENO_CERT"];

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

fn read(named: &OsString) -> io::Result<String> {
    std::fs::read_to_string(named)
        .map_err(|error| io::Error::new(error.kind(), format!("cannot read {}: {error}", named.to_string_lossy())))
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
        let write = |name: &str| {
            let path = folder.path().join(name);
            std::fs::write(&path, name).unwrap();
            path
        };
        let (own, pip) = (write("own"), write("pip"));
        for (given, whole, node) in [
            (vec![("SSL_CERT_FILE", &own), ("PIP_CERT", &pip), ("NODE_EXTRA_CA_CERTS", &own)], "own", "own"),
            (vec![("PIP_CERT", &pip)], system(), ""),
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
            assert_eq!((of("PIP_CERT"), of("DENO_CERT")), ("pip\nAUTHORITY".to_owned(), "\nAUTHORITY".to_owned()));
            assert_eq!(of("NODE_EXTRA_CA_CERTS"), format!("{node}\nAUTHORITY"));
            assert!(files.len() <= 4 && files.iter().all(|path| path.is_file()));
        }
        let mut launch = Launch::new("true");
        launch.env.set("PIP_CERT", folder.path().join("none.pem"));
        let error = hand_over(&mut launch, &Place::make().unwrap(), "AUTHORITY").unwrap_err();
        assert!(error.to_string().contains("none.pem"), "{error}");
    }
}
