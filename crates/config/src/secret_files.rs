//! Where on this machine the secrets lie that a configuration names.
//!
//! Threat: what the gateway keeps from a server, that server reads or exchanges in the file that it is from.

use std::path::Path;

use crate::credentials::Credential;
use crate::servers::Upstream;
use crate::tls::Tls;
use crate::{Config, Http};

impl Config {
    /// The files with secrets that this names: those whose text it holds, those with tokens, and private keys.
    pub fn secret_files(&self) -> impl Iterator<Item = &Path> {
        let admin = self.admin.as_ref().and_then(|admin| admin.tls.as_ref());
        let keys = [self.listen.tls.as_ref(), admin].into_iter().flatten().map(|Tls { key, .. }| &**key);
        let of_servers = self.servers.values().filter_map(|server| match &server.upstream {
            Upstream::Http(http) => Some(http),
            Upstream::Command(_) => None,
        });
        let read = self.read_files.iter().map(|file| &**file);
        read.chain(keys).chain(of_servers.flat_map(of_server))
    }
}

fn of_server(http: &Http) -> impl Iterator<Item = &Path> {
    let token = match &http.credential {
        Some(Credential::BearerFile(file)) => Some(&**file),
        _ => None,
    };
    let key = http.tls.as_ref().and_then(|tls| tls.identity.as_ref()).map(|(_, key)| &**key);
    token.into_iter().chain(key)
}
