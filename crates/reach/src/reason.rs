//! Why something was let out or not, by names that stay.

/// What was decided about a connection or a request, or how a connection ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reason {
    /// The policy allows it.
    Allowed,
    /// Both sides were done.
    Ended,
    /// One side broke off.
    Broken,
    /// Nothing was said for too long.
    Idle,
    /// The policy that allowed it was replaced by one that does not.
    Replaced,
    /// The proxy is shutting down, or the server is.
    Stopped,
    /// As many bytes as may be were sent.
    SentCap,
    /// As many bytes as may be were received.
    ReceivedCap,
    /// As many connections as may be are open.
    Connections,
    /// As many connections as may be were opened within a minute.
    Rate,
    /// Who connected does not have the token of this server.
    Token,
    /// What was said is no request to a proxy, or has more than one reading.
    Malformed,
    /// The host has more than one reading, or none.
    Host,
    /// The policy does not name the host and port.
    NotAllowed,
    /// It is a metadata service.
    Metadata,
    /// The host is or leads to this machine.
    AddressOwn,
    /// The host is or leads into a private network.
    AddressPrivate,
    /// The host is or leads to an address that is nobody's.
    AddressUnfit,
    /// The name cannot be looked up.
    Unresolved,
    /// Nobody answers there.
    Unreachable,
    /// It took too long.
    TimedOut,
    /// What is not TLS is not passed on to this port.
    NotTls,
    /// The handshake names no host.
    NoServerName,
    /// The handshake names another host.
    OtherServerName,
    /// The handshake has an encrypted part that may name another host.
    EncryptedHello,
    /// A handshake failed, on either side.
    Handshake,
    /// `Host` and target of a request differ, or one is missing.
    OtherHost,
    /// The policy allows other requests to this host.
    Request,
    /// A path has more than one reading, where the policy looks at paths.
    PathForm,
    /// A method that is never passed on.
    Method,
    /// A placeholder of a secret cannot be put in place of.
    Secret,
    /// What was decided cannot be recorded.
    Unrecorded,
}

impl Reason {
    /// All of them.
    pub const ALL: [Reason; 32] = [
        Reason::Allowed,
        Reason::Ended,
        Reason::Broken,
        Reason::Idle,
        Reason::Replaced,
        Reason::Stopped,
        Reason::SentCap,
        Reason::ReceivedCap,
        Reason::Connections,
        Reason::Rate,
        Reason::Token,
        Reason::Malformed,
        Reason::Host,
        Reason::NotAllowed,
        Reason::Metadata,
        Reason::AddressOwn,
        Reason::AddressPrivate,
        Reason::AddressUnfit,
        Reason::Unresolved,
        Reason::Unreachable,
        Reason::TimedOut,
        Reason::NotTls,
        Reason::NoServerName,
        Reason::OtherServerName,
        Reason::EncryptedHello,
        Reason::Handshake,
        Reason::OtherHost,
        Reason::Request,
        Reason::PathForm,
        Reason::Method,
        Reason::Secret,
        Reason::Unrecorded,
    ];

    /// The name by which it is known in records and answers; it stays the same.
    #[must_use]
    pub fn id(self) -> &'static str {
        match self {
            Reason::Allowed => "egress.allowed",
            Reason::Ended => "egress.ended",
            Reason::Broken => "egress.broken",
            Reason::Idle => "egress.idle",
            Reason::Replaced => "egress.replaced",
            Reason::Stopped => "egress.stopped",
            Reason::SentCap => "egress.sent_cap",
            Reason::ReceivedCap => "egress.received_cap",
            Reason::Connections => "egress.connections",
            Reason::Rate => "egress.rate",
            Reason::Token => "egress.token",
            Reason::Malformed => "egress.malformed",
            Reason::Host => "egress.host",
            Reason::NotAllowed => "egress.not_allowed",
            Reason::Metadata => "egress.metadata",
            Reason::AddressOwn => "egress.address_own",
            Reason::AddressPrivate => "egress.address_private",
            Reason::AddressUnfit => "egress.address_unfit",
            Reason::Unresolved => "egress.unresolved",
            Reason::Unreachable => "egress.unreachable",
            Reason::TimedOut => "egress.timed_out",
            Reason::NotTls => "egress.not_tls",
            Reason::NoServerName => "egress.no_server_name",
            Reason::OtherServerName => "egress.other_server_name",
            Reason::EncryptedHello => "egress.encrypted_hello",
            Reason::Handshake => "egress.handshake",
            Reason::OtherHost => "egress.other_host",
            Reason::Request => "egress.request",
            Reason::PathForm => "egress.path_form",
            Reason::Method => "egress.method",
            Reason::Secret => "egress.secret",
            Reason::Unrecorded => "egress.unrecorded",
        }
    }

    /// The HTTP status that says so, where something can be said.
    #[must_use]
    pub fn status(self) -> http::StatusCode {
        match self {
            Reason::Malformed | Reason::Host | Reason::OtherHost => http::StatusCode::BAD_REQUEST,
            Reason::Connections | Reason::Rate => http::StatusCode::TOO_MANY_REQUESTS,
            Reason::Unresolved | Reason::Unreachable | Reason::Handshake | Reason::Broken => {
                http::StatusCode::BAD_GATEWAY
            }
            Reason::TimedOut => http::StatusCode::GATEWAY_TIMEOUT,
            Reason::Unrecorded => http::StatusCode::SERVICE_UNAVAILABLE,
            _ => http::StatusCode::FORBIDDEN,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_has_a_name_of_its_own_that_is_on_the_page() {
        let page = include_str!("../../../docs/src/egress.md");
        let mut ids: Vec<_> = Reason::ALL.map(Reason::id).into();
        assert!(ids.iter().all(|id| page.contains(&format!("`{id}`"))));
        assert_eq!(page.matches("`egress.").count(), ids.len());
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), Reason::ALL.len());
        // One that is missing from the list would be missing from the source as well.
        let source = include_str!("reason.rs");
        assert_eq!(source.matches("=> \"egress.").count(), Reason::ALL.len());
    }
}
