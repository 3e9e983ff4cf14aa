//! Names that are looked up for a connection, by whoever says which of the answer is asked.

use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::task::{Context, Poll};

use hyper_util::client::legacy::connect::dns::Name;

/// Why a name is not asked.
pub(crate) type Refusal = Box<dyn std::error::Error + Send + Sync>;

/// Says which addresses of a name are asked, after they were looked up.
pub(crate) trait Choice: Clone + Send + Sync + 'static {
    /// Those that are known already, or none if it has to be looked up.
    fn known(&self, name: &str) -> Result<Option<Vec<IpAddr>>, Refusal>;

    /// Those of the answer.
    fn of(&self, found: Vec<IpAddr>) -> Result<Vec<IpAddr>, Refusal>;
}

/// Looks names up as the system does, once for each connection, which is made to what was chosen and nothing else.
#[derive(Clone, Debug)]
pub(crate) struct Lookup<C>(pub(crate) C);

impl<C: Choice> tower_service::Service<Name> for Lookup<C> {
    type Response = std::vec::IntoIter<SocketAddr>;
    type Error = Refusal;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Refusal>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Refusal>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, name: Name) -> Self::Future {
        let choice = self.0.clone();
        Box::pin(async move {
            let chosen = match choice.known(name.as_str())? {
                Some(known) => known,
                None => choice.of(addresses(name.as_str()).await?)?,
            };
            Ok(chosen.into_iter().map(|address| (address, 0).into()).collect::<Vec<_>>().into_iter())
        })
    }
}

/// All addresses that a name has now.
pub(crate) async fn addresses(name: &str) -> io::Result<Vec<IpAddr>> {
    Ok(tokio::net::lookup_host((name, 0)).await?.map(|address| address.ip()).collect())
}
