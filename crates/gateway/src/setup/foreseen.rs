//! What is said of local servers at a start and after each reload, before a client finds out: which of them run unconfined, and
//! which will not start here, or not as they should.

use bartizan_sandbox::{Confinement, Host, Level, kept, probe, unmet};

use super::Servers;

const CPU_IN_VAIN: &str =
    "`limits.cpu` has no effect: there is no control group here that can be divided; `bartizan doctor` says what to do";

/// Local servers of which there is something to say.
pub(crate) struct Foreseen {
    unconfined: Vec<String>,
    confined: Vec<(String, Confinement)>,
}

impl Foreseen {
    pub(crate) fn of(servers: &Servers) -> Self {
        let mut foreseen = Foreseen { unconfined: Vec::new(), confined: Vec::new() };
        for server in servers.values() {
            let name = server.name.to_string();
            if server.isolation() == Some(Level::None) {
                foreseen.unconfined.push(name);
            } else if let Some(confinement) = server.program().and_then(|program| program.launch.confinement.as_ref()) {
                foreseen.confined.push((name, confinement.clone()));
            }
        }
        foreseen
    }

    /// Says it; what has to be tried on this host first is said a moment later, as nothing waits for it.
    pub(crate) fn say(self) {
        if !self.unconfined.is_empty() {
            let servers = self.unconfined.join(", ");
            tracing::warn!(%servers, "local servers of the level `none` run as the user, unconfined");
        }
        for (server, confinement) in &self.confined {
            if confinement.limits.cpu.is_some() && !kept(&confinement.limits).cpu {
                tracing::warn!(server, "{CPU_IN_VAIN}");
            }
        }
        if !self.confined.is_empty() {
            tokio::spawn(async move {
                match probe(None).await {
                    Ok(host) => warn_of(&host, &self.confined),
                    Err(error) => tracing::warn!(%error, "this host cannot be tried: local servers will hardly start"),
                }
            });
        }
    }
}

/// Says which servers this host does not let start.
fn warn_of(host: &Host, confined: &[(String, Confinement)]) {
    if !host.confines() {
        let servers = confined.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>().join(", ");
        tracing::warn!(%servers, "no server can be confined on this host, so these will not start; `bartizan doctor` says what to do");
        return;
    }
    for (server, confinement) in confined.iter().filter(|(_, confinement)| !confinement.require.is_empty()) {
        for missing in unmet(confinement, host.landlock, kept(&confinement.limits)) {
            tracing::warn!(server, "it will not start, as this host lacks what its `require` names: {missing}");
        }
    }
}
