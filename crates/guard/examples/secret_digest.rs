//! The digest by which the guard `secrets` lets a secret pass: `ALLOW_KEY=… cargo run -p bartizan-guard --example secret_digest < FILE`.
//! The secret is read from standard input, without the line break at its end, and only its digest is printed.

use std::io::{Error, Read, Write};

use bartizan_guard::guards::secrets;

fn main() -> Result<(), Error> {
    let key = std::env::var("ALLOW_KEY").map_err(|_| Error::other("put the key of the digests into ALLOW_KEY"))?;
    let mut secret = String::new();
    std::io::stdin().lock().read_to_string(&mut secret)?;
    writeln!(std::io::stdout(), "{}", secrets::digest(&key, secret.trim_end_matches(['\r', '\n'])))
}
