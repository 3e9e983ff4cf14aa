//! Where the host of a URL leads that the operator has named.
//!
//! **Threat.** A server of the operator's may be on this machine or in a private network: those are what a gateway is most often for, so
//! they are named by naming the URL. But whoever answers for its name may have it lead to the service that hands a cloud's
//! credentials to whoever asks from inside, and that is nobody's server. So a name is looked up once for each connection, one
//! address of such a service refuses the whole answer, and the connection is made to an address of that answer.

use std::net::IpAddr;

use bartizan_reach::address::Kind;
use bartizan_reach::host::Host;
use thiserror::Error;

use crate::lookup::{Choice, Lookup, Refusal};

/// Looks names up for connections to what the operator named.
pub(crate) type NamedLookup = Lookup<Named>;

/// What the operator named.
#[derive(Clone, Debug)]
pub(crate) struct Named;

/// It is a metadata service.
#[derive(Debug, Error)]
#[error("it is a metadata service of a cloud, which is never asked")]
struct Metadata;

impl Choice for Named {
    fn known(&self, name: &str) -> Result<Option<Vec<IpAddr>>, Refusal> {
        let is_metadata = Host::parse(name).is_ok_and(|host| host.is_metadata());
        if is_metadata { Err(Metadata.into()) } else { Ok(None) }
    }

    fn of(&self, found: Vec<IpAddr>) -> Result<Vec<IpAddr>, Refusal> {
        let is_metadata = |address: &IpAddr| Kind::of(*address) == Kind::Metadata;
        if found.iter().any(is_metadata) { Err(Metadata.into()) } else { Ok(found) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_operator_named_may_be_near_and_is_no_metadata_service() {
        for (addresses, expected) in [
            (&["127.0.0.1", "::1"][..], true),
            (&["10.1.2.3"], true),
            (&["8.8.8.8", "192.168.1.5"], true),
            (&["169.254.169.254"], false),
            (&["::ffff:169.254.169.254"], false),
            (&["8.8.8.8", "100.100.100.200"], false),
            (&["fd00:ec2::254"], false),
        ] {
            let found: Vec<IpAddr> = addresses.iter().map(|text| text.parse().unwrap()).collect();
            let fits = Named.of(found.clone());
            assert_eq!(fits.is_ok_and(|fit| fit == found), expected, "{addresses:?}");
        }
    }

    #[tokio::test]
    async fn a_name_of_a_metadata_service_is_not_looked_up() {
        use std::str::FromStr as _;

        use hyper_util::client::legacy::connect::dns::Name;

        let look = |name: &str| tower_service::Service::call(&mut Lookup(Named), Name::from_str(name).unwrap());
        let refused = look("metadata.google.internal").await.unwrap_err();
        assert!(refused.is::<Metadata>(), "{refused}");
        assert!(look("localhost").await.unwrap().all(|address| address.ip().is_loopback()));
    }
}
