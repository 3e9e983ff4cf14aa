//! Opens a way to a server for one client session.

use std::sync::Arc;
use std::time::Duration;

use bartizan_guard::Principal;
use bartizan_mcp::Limits;
use bartizan_sandbox::SpawnError;
use tokio::sync::OwnedSemaphorePermit;

use crate::gateway::Gateway;
use crate::program::Program;
use crate::server::{Server, Transport};
use crate::upstream::{Books, HttpUpstream, Routing, StdioUpstream, Trial, Upstream, UpstreamError, works};

/// How long a client waits for the end of a process that makes room for its own: longer than the end of one that does
/// not want to.
const ROOM: Duration = Duration::from_secs(15);

impl Server {
    /// Opens a way to the server for one client session on behalf of `who`.
    ///
    /// # Errors
    /// If it is a child process that cannot be started, or failed so often at its start that it is left alone for now.
    pub async fn connect(
        &self,
        gateway: &Arc<Gateway>,
        who: &Principal,
        routing: Routing,
        limits: Limits,
    ) -> Result<Upstream, UpstreamError> {
        match &self.transport {
            Transport::Shared(child) => Ok(Upstream::Shared(child.connect(books(gateway), limits))),
            Transport::Url(endpoint) => Ok(Upstream::Http(HttpUpstream::new(Arc::clone(endpoint), who.clone()))),
            Transport::Command(program) => {
                let name = Arc::clone(&self.name);
                let log = move |line: &str| tracing::info!(target: "bartizan::server", server = %name, "{line}");
                let mut place = None;
                let trial = self.starts.begin(self.works(gateway, program, limits, &mut place)).await?;
                self.start(gateway, program, (routing, limits), (place, Some(trial)), log).await
            }
            Transport::Wrapped(program, complain) => {
                let complain = Arc::clone(&complain.0);
                self.start(gateway, program, (routing, limits), (None, None), move |line| complain(line)).await
            }
        }
    }

    /// Finds out whether its program works; `kept` is the place that this took, for the process of who has it found out.
    async fn works(
        &self,
        gateway: &Gateway,
        program: &Program,
        limits: Limits,
        kept: &mut Option<Arc<OwnedSemaphorePermit>>,
    ) -> bool {
        // Without room for a process nothing is known of the program, and who asked is told that there is none.
        let Ok(place) = self.place_for_process(gateway).await else { return true };
        works(&gateway.recorder, &self.name, (program, Arc::clone(kept.insert(place))), limits).await
    }

    async fn start(
        &self,
        gateway: &Gateway,
        program: &Program,
        (routing, limits): (Routing, Limits),
        (place, trial): (Option<Arc<OwnedSemaphorePermit>>, Option<Arc<Trial>>),
        log: impl Fn(&str) + Send + 'static,
    ) -> Result<Upstream, UpstreamError> {
        let not_started = |error: SpawnError| UpstreamError::NotStarted(error.to_string());
        let place = match place {
            Some(place) => place,
            None => self.place_for_process(gateway).await.map_err(not_started)?,
        };
        match StdioUpstream::spawn(program, routing, limits, log).await {
            Ok(child) => {
                child.hold(place, trial);
                Ok(Upstream::Stdio(child))
            }
            Err(error) => {
                trial.iter().for_each(|trial| trial.ended());
                Err(not_started(error))
            }
        }
    }

    /// A place for one more process; if there is none, a session that nobody needs is ended for it.
    async fn place_for_process(&self, gateway: &Gateway) -> Result<Arc<OwnedSemaphorePermit>, SpawnError> {
        let full = || SpawnError::Invalid { what: "as many clients have a process of this server as may".into() };
        if let Ok(place) = Arc::clone(&self.processes).try_acquire_owned() {
            return Ok(Arc::new(place));
        }
        if !gateway.make_room(self) {
            return Err(full());
        }
        // First come, first served: each who waits here has made room.
        let freed = Arc::clone(&self.processes).acquire_owned();
        tokio::time::timeout(ROOM, freed).await.ok().and_then(Result::ok).map(Arc::new).ok_or_else(full)
    }
}

/// Where what a shared child does is written down that concerns no client.
fn books(gateway: &Gateway) -> Books {
    Books { recorder: Arc::clone(&gateway.recorder), metrics: Arc::clone(&gateway.metrics) }
}
