//! A server's program: what is started, the same each time but for what each start has of its own.

use std::sync::Arc;

use bartizan_sandbox::{Child, Launch, SpawnError};

use crate::way_out::{Way, WayOut};

/// A shorter value is no secret worth the name, and would be found in many a word.
const SHORTEST_SECRET: usize = 8;

/// A program, how it is confined, and how it leaves its sandbox, if it may.
#[derive(Debug, Clone)]
pub struct Program {
    /// What is started.
    pub launch: Launch,
    way_out: Option<Arc<WayOut>>,
    /// The variables in which it has secrets themselves.
    exposed: Vec<String>,
}

/// One start of it.
pub(crate) struct Started {
    pub(crate) child: Child,
    /// To be kept for as long as it runs.
    pub(crate) way: Option<Way>,
    /// Values that none of its lines may show, with names for them.
    pub(crate) private: Vec<(String, String)>,
}

impl Program {
    /// One that uses this way out.
    pub(crate) fn new(launch: Launch, way_out: Option<Arc<WayOut>>) -> Program {
        Program { launch, way_out, exposed: Vec::new() }
    }

    /// The same, which has secrets in these variables.
    pub(crate) fn exposing(mut self, names: impl IntoIterator<Item = String>) -> Program {
        self.exposed.extend(names);
        self
    }

    pub(crate) fn exposed(&self) -> &[String] {
        &self.exposed
    }

    /// Starts it.
    pub(crate) async fn start(&self) -> Result<Started, SpawnError> {
        let mut launch = self.launch.clone();
        let way = match self.way_out.as_ref().map(|way_out| (way_out, way_out.open(&mut launch))) {
            None => None,
            Some((_, Ok(way))) => Some(way),
            // Nothing would leave by it: what is lost is that it is said what was asked for.
            Some((way_out, Err(error))) if way_out.only_reports() => {
                tracing::warn!(%error, "a confined server has no network to ask for hosts in");
                None
            }
            Some((_, Err(source))) => {
                return Err(SpawnError::Sandbox { step: "open its way out".to_owned(), source: Some(source) });
            }
        };
        let child = launch.spawn().await?;
        let secrets = self.way_out.iter().flat_map(|way_out| way_out.private());
        let private = launch.env.private().into_iter();
        let private = private.chain(secrets.filter(|(_, value)| value.len() >= SHORTEST_SECRET)).collect();
        Ok(Started { child, way, private })
    }

    /// Has what still runs of it reach what `now` reaches, with its secrets; whatever of it is to be reached no more, and nothing if
    /// there is no such program any more.
    pub(crate) fn follow(&self, now: Option<&Program>) {
        if let Some(way_out) = &self.way_out {
            way_out.follow(now.and_then(|now| now.way_out.as_ref()));
        }
    }

    /// Whether what runs of it has other secrets than what is started as `now`.
    pub(crate) fn exposes_others_than(&self, now: &Program) -> bool {
        self.exposed != now.exposed
            || self.exposed.iter().any(|name| self.launch.env.get(name) != now.launch.env.get(name))
    }
}

impl From<Launch> for Program {
    fn from(launch: Launch) -> Program {
        Program::new(launch, None)
    }
}
