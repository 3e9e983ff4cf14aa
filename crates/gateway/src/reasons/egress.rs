//! Why a connection of a confined server was refused or ended, with what to do about it.

use super::{Reason, reason};

const ALLOWED: &str = "nothing: it was allowed";
const SERVER: &str = "look at what the server does there: no setting lets it pass";
const HOST: &str = "look at whether that host is there and answers, from this machine";

/// All of them, by id.
pub(crate) const ALL: &[Reason] = &[
    reason(
        "egress.address_own",
        "the host is or leads to this machine",
        "name the address in `net.private`, if a service of this machine is meant",
    ),
    reason(
        "egress.address_private",
        "the host is or leads into a private network",
        "name the address or its range in `net.private`, if that network is meant",
    ),
    reason(
        "egress.address_unfit",
        "the host is or leads to an address that is nobody's",
        "look at who answers for that name: no setting lets it pass",
    ),
    reason("egress.allowed", "it is allowed", ALLOWED),
    reason("egress.broken", "one side broke off", HOST),
    reason("egress.connections", "the server has as many connections open as it may", SERVER),
    reason(
        "egress.encrypted_hello",
        "the handshake may name another host than the one that is seen",
        "switch Encrypted Client Hello off in the program: for browsers `profile = \"browser\"` does so",
    ),
    reason("egress.ended", "both sides were done", ALLOWED),
    reason(
        "egress.handshake",
        "a handshake failed, on either side",
        "look at whether the host's certificate is trusted here, and whether the server trusts the one that it is shown",
    ),
    reason("egress.host", "the host is none, or in a form that has several readings", SERVER),
    reason("egress.idle", "nothing passed for too long", ALLOWED),
    reason("egress.malformed", "what was said is no request, or has more than one reading", SERVER),
    reason("egress.metadata", "it is a metadata service of a cloud, which hands out credentials", SERVER),
    reason("egress.method", "that method is never passed on", SERVER),
    reason("egress.no_server_name", "the handshake names no host", SERVER),
    reason(
        "egress.not_allowed",
        "no rule names the host and port",
        "name the host and port in `net.allow`, if it is meant",
    ),
    reason(
        "egress.not_tls",
        "what is not TLS is not passed on to port 443",
        "have the server speak TLS there, or use another port",
    ),
    reason("egress.other_host", "`Host` and the target of the request differ, or one is missing", SERVER),
    reason("egress.other_server_name", "the handshake names another host than the one that was asked for", SERVER),
    reason("egress.path_form", "the path has more than one reading", SERVER),
    reason("egress.rate", "the server opened as many connections within a minute as it may", SERVER),
    reason("egress.received_cap", "as many bytes as may be came in", SERVER),
    reason(
        "egress.replaced",
        "a changed configuration does not allow it any more",
        "name the host and port in `net.allow`, if it is meant",
    ),
    reason(
        "egress.request",
        "other requests to this host are allowed, and this one is not",
        "look at which methods and paths are allowed there",
    ),
    reason("egress.secret", "a secret does not fit into its header", "look at the value of that secret"),
    reason("egress.sent_cap", "as many bytes as may be went out", SERVER),
    reason("egress.stopped", "the server or the gateway stopped", ALLOWED),
    reason("egress.timed_out", "it took too long", HOST),
    reason(
        "egress.token",
        "who connected is not the relay of this server",
        "look at which programs of this user connect to Bartizan's sockets",
    ),
    reason("egress.unreachable", "nobody answers there", HOST),
    reason(
        "egress.unrecorded",
        "it could not be recorded, so it did not leave",
        "look at the disk on which the audit log is",
    ),
    reason("egress.unresolved", "the name cannot be looked up", HOST),
];
