//! The certificates of both addresses: read at the start, with each reload, and when their files change.

use std::sync::Arc;
use std::time::Duration;

use bartizan_config::{Config, ServerTls, Tls, Upstream};
use http::Uri;
use serde_json::json;

use crate::edge::{Front, Ready, Secure};
use crate::gateway::Gateway;
use crate::setup::SetupError;
use crate::upstream::connections;

/// How long a connection may take that is never made.
const CONNECT: Duration = Duration::from_secs(1);
/// How often it is looked whether files have changed.
const LOOK: Duration = Duration::from_secs(1);

/// Of each address that is reached over TLS.
#[derive(Debug, Default)]
pub(crate) struct Certificates {
    pub(crate) listen: Option<Arc<Secure>>,
    pub(crate) admin: Option<Arc<Secure>>,
}

/// What a changed configuration brings, read and good.
#[derive(Debug)]
pub(crate) struct Changed {
    listen: Option<Ready>,
    admin: Option<Ready>,
}

impl Certificates {
    /// Those that the configuration names.
    pub(crate) fn read(config: &Config) -> Result<Certificates, SetupError> {
        let changed = changed(config)?;
        changed.warn(config);
        let Changed { listen, admin } = changed;
        let secure = |ready: Option<Ready>| ready.map(|ready| Arc::new(Secure::new(ready)));
        Ok(Certificates { listen: secure(listen), admin: secure(admin) })
    }

    /// Those of a new configuration, unless no client would take them: then those before stay, and so does all of it.
    pub(crate) fn read_anew(&self, config: &Config) -> Result<Changed, SetupError> {
        let changed = changed(config)?;
        for (table, secure, ready) in
            [("listen", &self.listen, &changed.listen), ("admin", &self.admin, &changed.admin)]
        {
            if let Some(why) = secure.as_ref().zip(ready.as_ref()).and_then(|(secure, ready)| secure.refuses(ready)) {
                return Err(SetupError::Certificate { table, why });
            }
        }
        changed.warn(config);
        Ok(changed)
    }

    /// Puts those of a new configuration in force. Where there were none, or are none any more, that waits for a restart.
    pub(crate) fn put(&self, changed: Changed) {
        let pairs = [(&self.listen, changed.listen), (&self.admin, changed.admin)];
        for (secure, ready) in pairs.into_iter().filter_map(|(secure, ready)| secure.as_ref().zip(ready)) {
            secure.put(ready);
        }
    }

    /// Puts files in force that have changed by themselves, for as long as the gateway runs. What is wrong with them is said,
    /// and those before stay.
    pub(crate) async fn watch(self: Arc<Self>, front: Arc<Front>, gateway: Arc<Gateway>) {
        let secures: Vec<_> = [("listen", &self.listen), ("admin", &self.admin)]
            .into_iter()
            .filter_map(|(t, s)| Some((t, s.as_ref()?)))
            .collect();
        while !secures.is_empty() {
            for (table, secure) in &secures {
                gateway.metrics.set_certificate(table, secure.days_left());
            }
            tokio::time::sleep(LOOK).await;
            for (table, secure) in &secures {
                let Some(found) = secure.look() else { continue };
                let why = found.err();
                match &why {
                    None => tracing::info!("the changed certificate of [{table}] is in force for new connections"),
                    Some(why) => tracing::error!(
                        "the changed certificate of [{table}] is refused and the one before stays: {why}"
                    ),
                }
                // A log that cannot be written is said by the recorder.
                let fields = json!({"table": table, "refused": why});
                gateway.recorder.note("certificate.changed", &fields).ok();
            }
            front.set_behind(secures.iter().any(|(_, secure)| secure.is_behind()));
        }
    }
}

impl Changed {
    /// Says what clients will not take of them.
    fn warn(&self, config: &Config) {
        for (table, ready) in [("listen", &self.listen), ("admin", &self.admin)] {
            for why in ready.iter().flat_map(|ready| doubts(table, ready, config)) {
                tracing::warn!("[{table}.tls]: {why}");
            }
        }
    }
}

/// What of these clients will not take; only one of the two addresses has a name for them.
fn doubts(table: &str, ready: &Ready, config: &Config) -> Vec<String> {
    let public = config.listen.public_url.as_ref().filter(|_| table == "listen");
    ready.doubts(public.and_then(|public| public.parse().ok()).as_ref())
}

/// What clients will not take of certificates that can be used otherwise, each beside its table: one that is over, or not
/// good yet, or of another host than `public_url` names. Nothing is started, and nobody is asked.
#[must_use]
pub fn warnings(config: &Config) -> Vec<(Vec<String>, String)> {
    // What cannot be read is an error, and `check` has it.
    let Ok(Changed { listen, admin }) = changed(config) else { return Vec::new() };
    let of = |name: &str, ready: Option<Ready>| {
        let table = vec![name.to_owned(), "tls".to_owned()];
        let found = ready.map(|ready| doubts(name, &ready, config)).unwrap_or_default();
        found.into_iter().map(move |why| (table.clone(), why)).collect::<Vec<_>>()
    };
    of("listen", listen).into_iter().chain(of("admin", admin)).collect()
}

/// The certificates of a configuration, or why one cannot be used.
pub(crate) fn changed(config: &Config) -> Result<Changed, SetupError> {
    let read = |table, tls: Option<&Tls>| {
        tls.map(Ready::read).transpose().map_err(|why| SetupError::Certificate { table, why })
    };
    Ok(Changed {
        listen: read("listen", config.listen.tls.as_ref())?,
        admin: read("admin", config.admin.as_ref().and_then(|admin| admin.tls.as_ref()))?,
    })
}

/// What is wrong with the certificates and keys that a configuration names, each beside its table: what cannot be read as one,
/// and keys that are not those of their certificates. Nothing is started, and nobody is asked.
#[must_use]
pub fn check(config: &Config) -> Vec<(Vec<String>, String)> {
    let table = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    let own =
        [("listen", config.listen.tls.as_ref()), ("admin", config.admin.as_ref().and_then(|admin| admin.tls.as_ref()))];
    let mut found: Vec<_> =
        own.into_iter().filter_map(|(name, tls)| Some((table(&[name, "tls"]), Ready::read(tls?).err()?))).collect();
    for (name, server) in &config.servers {
        if let Upstream::Http(http) = &server.upstream
            && let Some(why) = http.tls.as_ref().and_then(|tls| to_server(&http.url, tls))
        {
            found.push((table(&["server", name, "tls"]), why));
        }
    }
    for issuer in &config.auth.issuers {
        let url: Uri = issuer.issuer.parse().unwrap_or_default();
        if let Some(why) = issuer.tls.as_ref().and_then(|tls| to_server(&url, tls)) {
            found.push((table(&["auth", "oauth", &issuer.name]), why));
        }
    }
    found
}

/// Why this cannot be shown to a server, or used to tell whether it is the one.
fn to_server(url: &Uri, tls: &ServerTls) -> Option<String> {
    connections(CONNECT, (url, Some(tls))).err().map(|why| why.to_string())
}
