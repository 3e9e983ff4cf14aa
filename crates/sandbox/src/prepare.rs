//! What has to be done before each start of a server, by whoever describes it.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;

use crate::{Launch, SpawnError};

/// What a preparation gives: the launch as it is then, or why nothing is started.
pub type Prepared = Pin<Box<dyn Future<Output = Result<Launch, String>> + Send>>;

/// Done before each start: what it gives is started, and if it fails nothing is.
#[derive(Clone)]
pub struct Prepare(Arc<dyn Fn(Launch) -> Prepared + Send + Sync>);

impl Prepare {
    /// Has this done before each start.
    pub fn new(prepare: impl Fn(Launch) -> Prepared + Send + Sync + 'static) -> Self {
        Self(Arc::new(prepare))
    }

    pub(crate) async fn run(&self, launch: Launch) -> Result<Launch, SpawnError> {
        (self.0)(launch).await.map_err(|why| SpawnError::Unprepared { why })
    }
}

impl fmt::Debug for Prepare {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Prepare")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_prepared_is_started_and_what_cannot_be_is_not() {
        let mut launch = Launch::new("no-such-program");
        launch.prepare = Some(Prepare::new(|mut launch| {
            launch.program = "another".into();
            launch.args.push("\0".into());
            Box::pin(async { Ok(launch) })
        }));
        // Whatever it gives is checked as any launch is.
        assert!(launch.spawn().await.unwrap_err().to_string().contains("argument"));
        launch.prepare = Some(Prepare::new(|_| Box::pin(async { Err("it is not there".to_owned()) })));
        assert_eq!(launch.spawn().await.unwrap_err().to_string(), "it is not there");
    }
}
