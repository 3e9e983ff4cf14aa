//! Why the gateway itself refuses something: each rule that is no guard's, with what to do about it.
//!
//! An entry of the log says what happened; this says it to whoever asks `bartizan why`.

pub(crate) mod egress;

/// A rule of the gateway.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reason {
    /// Its id.
    pub id: &'static str,
    /// What it is, in a sentence without an end.
    pub what: &'static str,
    /// What to do about it, in a sentence without an end.
    pub help: &'static str,
}

/// The rule of that id.
#[must_use]
pub fn of(id: &str) -> Option<&'static Reason> {
    ALL.iter().chain(egress::ALL).find(|reason| reason.id == id)
}

const fn reason(id: &'static str, what: &'static str, help: &'static str) -> Reason {
    Reason { id, what, help }
}

const SERVER: &str = "look at the server: what it wrote to standard error, and whether it works without bartizan";
const CLIENT: &str = "the client has to send something else; no setting lets it pass";
const BRIDGED: &str = "use a client and a server of one era, or do without what cannot be translated between them";

/// All of them, by id.
pub const ALL: &[Reason] = &[
    reason("bridge.capability", "the server asks for something that the client has not said it can do", BRIDGED),
    reason(
        "bridge.declined",
        "the client answered what the server asked with an error",
        "look at the client: it was asked and declined",
    ),
    reason("bridge.question", "what the server asks is no request", SERVER),
    reason("bridge.questions", "the server asks more at once than is translated", BRIDGED),
    reason(
        "bridge.result_type",
        "the server answers with a kind of result that the client's revision does not have",
        BRIDGED,
    ),
    reason("bridge.rounds", "the server asked again and again and did not answer", SERVER),
    reason(
        "bridge.too_large",
        "the request with the client's answers is larger than the limit",
        "raise `message_bytes` under [limits], if messages of that size are meant",
    ),
    reason(
        "bridge.too_much",
        "what waits for the client's answers takes too much memory",
        "have the client answer what it was asked, or ask less at once",
    ),
    reason(
        "bridge.unanswered",
        "the client did not answer in time what the server asked",
        "look at the client: somebody may have been asked there and not answered",
    ),
    reason(
        "bridge.unknown_state",
        "the `requestState` is none that bartizan gave to this client, or has expired",
        "ask again from the beginning",
    ),
    reason("bridge.untranslated", "the message cannot be translated for the other era", BRIDGED),
    reason(
        "edge.authorize",
        "a client that is not known sent somebody here, or one whose address is not its own",
        "look at what the page says; a client that cannot be known otherwise needs a table [sign_in.client.NAME]",
    ),
    reason("edge.body", "the connection broke off, or was misused, within a message", CLIENT),
    reason(
        "edge.certificate",
        "the client's certificate has no single name that says who it is, has ended since, or is not of who the key is for",
        "look at the names in it and at `principal` under [auth.certificate], or show either the certificate or the key",
    ),
    reason(
        "edge.connections",
        "there are as many connections as may be: this one made room for others, or found none",
        "look at who has the most; raise `max_connections` under [listen], and the limit of open files, if that many are meant",
    ),
    reason("edge.content_type", "the body is not `application/json`", CLIENT),
    reason(
        "edge.credential",
        "the credential is not known, has expired or was revoked",
        "give the client a key that is good: `bartizan key list` shows which are, and `bartizan key create` makes one",
    ),
    reason(
        "edge.crowded",
        "too many large messages arrived at once",
        "try again; if it goes on, lower `message_bytes` under [limits] or have clients send less at once",
    ),
    reason("edge.event_id", "the header `Last-Event-ID` is not one id of 1 to 1024 visible ASCII characters", CLIENT),
    reason(
        "edge.failed",
        "answering the request failed within bartizan",
        "this is a fault of bartizan: please report it with what its log says of that moment",
    ),
    reason(
        "edge.form",
        "the form was not made for this browser, or the browser keeps no cookies",
        "load the page again; if it happens again, look at what the browser does with cookies",
    ),
    reason(
        "edge.grant",
        "a client asked for tokens with what is not known, used before, expired or revoked, or in a form that is not answered",
        "nothing, unless it goes on: clients begin anew; `bartizan grant list` shows what was given, and what ended why",
    ),
    reason("edge.handshake", "an `initialize` of that size is none", CLIENT),
    reason(
        "edge.head",
        "the head of a request was no HTTP, was too large or came too slowly",
        "look at who connects there: it may be no client at all; `header_timeout` under [limits] is how long a head may take",
    ),
    reason(
        "edge.host",
        "the `Host` header does not name this gateway",
        "if clients are meant to use that name, add it to `allowed_hosts` under [listen]; else a web page may have tried to get in",
    ),
    reason(
        "edge.identity",
        "it cannot be told who asks, as what would say so cannot be read or asked",
        "look at what the gateway's log says of the store, and at the file that `store.path` names",
    ),
    reason("edge.method", "the HTTP method is not one that is answered there", CLIENT),
    reason(
        "edge.no_credential",
        "a credential is required and none was shown",
        "clients that can sign in do so by themselves where people sign in or [auth.oauth.NAME] is there; give others a key as `Authorization: Bearer KEY`, which `bartizan key create` makes",
    ),
    reason(
        "edge.nonce",
        "the proof that came with the token needs a number that this gateway has given out",
        "nothing: the client is told one and asks again with it",
    ),
    reason(
        "edge.origin",
        "the request comes from a web page whose `Origin` is not allowed",
        "if that page is meant to use the gateway, add its origin to `allowed_origins` under [listen]",
    ),
    reason(
        "edge.path",
        "there is no server under that path",
        "use /mcp, or /mcp/NAME with the name of a server in the configuration",
    ),
    reason(
        "edge.query_token",
        "the address holds a token, where it ends up in logs and histories",
        "have the client send it in the header `Authorization`, and take the token for known to others",
    ),
    reason(
        "edge.registration_off",
        "a client wanted to register itself, which is off",
        "set `client_registration = true` under [sign_in], or set the client up as [sign_in.client.NAME]",
    ),
    reason("edge.repeated", "a header that says what the request means stands there twice", CLIENT),
    reason("edge.revision", "the header `MCP-Protocol-Version` names no revision that is spoken", CLIENT),
    reason(
        "edge.scope",
        "the credential is good for nothing here",
        "use another server, or a key that is good for this one: `bartizan key create NAME --scope server:SERVER`; of a token see `scopes` and `default_scopes` under [auth.oauth.NAME]",
    ),
    reason(
        "edge.session",
        "the request names no session, or one that is over",
        "nothing, if it comes once in a while: clients begin a new session then",
    ),
    reason(
        "edge.sessions",
        "there are as many sessions as may be, all in use",
        "raise `max_sessions` under [limits], if that many clients are meant",
    ),
    reason(
        "edge.sign_in",
        "somebody who signs in was wrong, or has to wait as that was so too often",
        "nothing, unless it goes on; `bartizan user reset` is for whoever has forgotten what they sign in with",
    ),
    reason("edge.stream", "the server's stream could not be opened", SERVER),
    reason(
        "edge.streams",
        "there are as many open streams as may be",
        "raise `max_connections` under [listen], if that many clients are meant",
    ),
    reason(
        "edge.tls",
        "the connection did not become secure: it broke off, took too long, or the two have nothing in common",
        "use https, and see Bartizan's log at the level `debug`; a client without TLS 1.3 needs `minimum = \"1.2\"` under [listen.tls]",
    ),
    reason(
        "edge.token_algorithm",
        "a token is signed in a way that is not accepted, or that its key is not for",
        "have the provider sign with one of RS256 to PS512, ES256 to ES512 or EdDSA; the program's log says which it was",
    ),
    reason(
        "edge.token_audience",
        "a token is for another resource",
        "have the client ask for this one (`resource`), or name what the provider writes into `aud` as `audience` under [auth.oauth.NAME]; the program's log has both",
    ),
    reason(
        "edge.token_binding",
        "a token is bound to a key and came without a proof, is not bound where that is required, or is bound in another way than by DPoP",
        "look at what the program's log says of it, and at `dpop` under [auth.oauth.NAME]",
    ),
    reason(
        "edge.token_claim",
        "a claim of a token is missing or not of the form that it has to be",
        "the program's log names the claim; if the provider writes none of `typ`, `client_id` and `jti`, `untyped = true` under [auth.oauth.NAME] does without",
    ),
    reason(
        "edge.token_claims",
        "a good token does not say which roles or groups somebody has",
        "compare `claims` under [auth.oauth.NAME] with what the provider puts into its tokens",
    ),
    reason(
        "edge.token_early",
        "a token is not good yet",
        "compare the clocks of this machine and the provider's; `leeway` under [auth.oauth.NAME] is how much they may differ",
    ),
    reason(
        "edge.token_ended",
        "a token of this gateway's own was given for what has ended since, or to who may not sign in any more",
        "nothing, if that was meant: `bartizan grant list --all` shows what was ended and why; the client signs in again",
    ),
    reason(
        "edge.token_expired",
        "a token has expired",
        "nothing, if it comes once in a while: clients have it renewed; else look at the client, and at the clocks",
    ),
    reason(
        "edge.token_form",
        "what was shown is no token that any issuer of the configuration could be asked about",
        "look at what the client sends; for opaque tokens set `introspection` under [auth.oauth.NAME]",
    ),
    reason(
        "edge.token_header",
        "the header of a token wants something that is not accepted",
        "the program's log names it; have the provider leave it out",
    ),
    reason(
        "edge.token_inactive",
        "the issuer of an opaque token says that it is not good, or says something else of it than it has to",
        "have the client sign in again, and look at the program's log",
    ),
    reason(
        "edge.token_issuer",
        "a token is of an issuer that the configuration does not name",
        "compare `issuer` under [auth.oauth.NAME] with what the program's log says, to the letter: a slash at the end counts",
    ),
    reason(
        "edge.token_key",
        "a token names no key of its issuer's, or none at all",
        "look at what the provider publishes (`jwks_uri`); a key that is new there is known within 30 seconds",
    ),
    reason(
        "edge.token_principal",
        "a token does not say in a way that can be used whose it is",
        "the program's log names the claim; see `claims` and `names` under [auth.oauth.NAME]",
    ),
    reason(
        "edge.token_proof",
        "the proof that came with a token is missing, not good, or was shown before",
        "look at the client: the program's log says what is wrong with its proofs, most often the clock or the address",
    ),
    reason(
        "edge.token_scope",
        "a token has no scope of any meaning here",
        "have the client ask for the scope that the answer names, or say under `scopes` or `default_scopes` of [auth.oauth.NAME] what its tokens are good for",
    ),
    reason(
        "edge.token_signature",
        "a token is not signed by the key that it names, or was changed since",
        "if the client did not change it, look at which keys the provider publishes under that name",
    ),
    reason(
        "edge.token_type",
        "what was shown is no access token by its `typ`, such as one for signing in",
        "have the client show the access token; if the provider's have no type of their own, `untyped = true` under [auth.oauth.NAME]",
    ),
    reason(
        "edge.token_unknown",
        "it cannot be told whether a token is good, as its issuer does not answer or too many wait",
        "look at whether the provider can be reached from here: the program's log says what goes wrong",
    ),
    reason(
        "edge.too_large",
        "the message is larger than the limit",
        "raise `message_bytes` under [limits], if messages of that size are meant",
    ),
    reason(
        "edge.too_slow",
        "the message took too long to arrive",
        "raise `body_timeout` under [limits], if clients are on slow lines",
    ),
    reason("edge.transfer_coding", "the body has a transfer coding other than `chunked`", CLIENT),
    reason(
        "gateway.approval_state",
        "what the client sends back of an approval is changed, over, or about something else",
        "have the client make the call again without `requestState` and `inputResponses`",
    ),
    reason("gateway.bad_subscription", "the request to subscribe is not as the protocol has it", CLIENT),
    reason(
        "gateway.cache_scope",
        "a result for one principal was not to be cached for all",
        "nothing: it passed, and is only cached for whom it is",
    ),
    reason(
        "gateway.contention",
        "the session changed faster than the message could be judged",
        "send it again; clients that send less at once in one session do not meet this",
    ),
    reason(
        "gateway.lock_unwritable",
        "what was seen could not be kept in the lock file",
        "make room on the disk of mcp.lock and let bartizan write there; nothing new passes until then",
    ),
    reason(
        "gateway.log_unwritable",
        "the entry could not be written",
        "make room on the disk of the audit log; nothing passes without a record",
    ),
    reason("gateway.no_meta", "`_meta` lacks what a client of this revision has to say", CLIENT),
    reason("gateway.no_name", "the request does not say by name what it is about", CLIENT),
    reason("gateway.no_uri", "the request does not say by URI what it is about", CLIENT),
    reason("gateway.not_its_own", "the message concerns a request or a stream of another session", CLIENT),
    reason(
        "gateway.pseudonyms",
        "what a pseudonym stands for can be neither kept nor given back",
        "give it a [store] and a `store_key` that opens it; `most` and `server_share` under [guard.personal_data] say how many there may be",
    ),
    reason("gateway.session_only", "the method belongs to revisions with sessions", CLIENT),
    reason(
        "gateway.session_over",
        "the client's session ended before the server answered",
        "nothing: begin a new session and ask again",
    ),
    reason(
        "gateway.shared_unattributed",
        "the server is shared by several clients, and nothing says which of them is meant",
        "set `shared = false` for the server, so that each client has a process of its own",
    ),
    reason(
        "gateway.slow_client",
        "the client did not read fast enough what others must not wait for",
        "look at the client; a process for each client, `shared = false`, lets none wait for another",
    ),
    reason(
        "gateway.too_large",
        "the request would be larger than the limit on its way to the server",
        "raise `message_bytes` under [limits], if messages of that size are meant",
    ),
    reason(
        "gateway.too_many_requests",
        "too many requests of one session wait for an answer",
        "have the client, or the server that asks, wait for answers before it sends more",
    ),
    reason("gateway.two_eras", "the message says both that it is part of a session and that there is none", CLIENT),
    reason("gateway.unknown_cursor", "the list has one page, and no such cursor", "list from the beginning"),
    reason(
        "gateway.unknown_event",
        "`Last-Event-ID` names an event that the server did not send in this session, or too long ago",
        "begin the stream anew, without `Last-Event-ID`",
    ),
    reason(
        "gateway.unknown_method",
        "no server can be told from the message, and bartizan does not have the method",
        CLIENT,
    ),
    reason(
        "gateway.unknown_name",
        "no server has anything of that name",
        "list what there is: names are of the form NAME__tool, and a server that fails is left out",
    ),
    reason(
        "gateway.unknown_resource",
        "no server lists the resource",
        "list the resources, or ask its server at /mcp/NAME",
    ),
    reason(
        "gateway.unknown_task",
        "there is no such task of this client",
        "look at the id; tasks end with the session or the server that has them",
    ),
    reason(
        "gateway.unsupported_version",
        "the revision that the client names is not spoken here",
        "use a revision that the answer lists",
    ),
    reason(
        "pipeline.edit_failed",
        "what was left after redaction is no message",
        "set the rules of the findings above to `deny` where they redact; please report what message it was, if you can",
    ),
    reason(
        "pipeline.edit_unsafe",
        "what was left after redaction would not pass, or means something else",
        "nothing: what is hidden in such a message cannot be taken out of it",
    ),
    reason(
        "pipeline.guard_failed",
        "a guard failed, and what nobody could judge does not pass",
        "this is a fault of bartizan: please report it with what its log says of that moment",
    ),
    reason("upstream.broken_off", "the server's answer broke off", SERVER),
    reason(
        "upstream.busy",
        "as many requests wait for the server as may",
        "try again; `max_in_flight` under [limits] is how many may wait",
    ),
    reason(
        "upstream.certificate",
        "the server did not prove that it is who it should be",
        "see why in Bartizan's log; an authority of your own is named by `SSL_CERT_FILE`",
    ),
    reason("upstream.content_encoding", "the server's answer is compressed, which nobody asked for", SERVER),
    reason(
        "upstream.content_type",
        "the server's answer is neither JSON nor an event stream",
        "check the `url` of the server: it may lead to something that is no MCP endpoint",
    ),
    reason(
        "upstream.credential",
        "what the server is shown to say who asks could not be had",
        "see why in Bartizan's log: a file of a token, the store or its master key, or an authorization server",
    ),
    reason("upstream.crowded", "too many large answers arrived at once", "try again"),
    reason(
        "upstream.ended",
        "the server ended before it answered",
        "look at the server: what it wrote to standard error, and whether it works without bartizan. One that is confined \
         lacks what `fs.ro`, `fs.rw`, `net.allow` and `limits` of its `sandbox`, or `run --ro`, `--rw` and `--allow`, do \
         not give",
    ),
    reason(
        "upstream.flood",
        "the server sends more notifications or requests of its own than one session takes",
        "look at the server; if it is meant to say as much, raise `server_messages` under [limits]",
    ),
    reason("upstream.malformed", "the server's answer is no valid HTTP", SERVER),
    reason("upstream.no_stream", "the server does not offer a stream of its own", "nothing: clients do without"),
    reason(
        "upstream.other_era",
        "the server does not know how a client of this era begins",
        "set `bridge = \"auto\"` for the server, or use `run --bridge`",
    ),
    reason("upstream.resting", "the server failed so often that it is left alone for a while", SERVER),
    reason(
        "upstream.session_gone",
        "the server no longer knows the session",
        "nothing: begin a new session and ask again",
    ),
    reason("upstream.session_id", "the server named a session in a way that no header may", SERVER),
    reason(
        "upstream.sign_in",
        "whoever asks has to sign in to the server first, or anew",
        "run `bartizan upstream login SERVER --user NAME`; `bartizan upstream list` shows who has",
    ),
    reason(
        "upstream.status",
        "the server answered with an HTTP status and no message",
        "check the `url` of the server and its `headers`: 401 and 403 mean that it wants other credentials",
    ),
    reason("upstream.stuffed", "the server takes no more messages", SERVER),
    reason(
        "upstream.timeout",
        "the server did not answer in time",
        "raise `timeout` of the server, if it may take that long",
    ),
    reason(
        "upstream.too_large",
        "the server's answer is larger than the limit",
        "raise `message_bytes` under [limits], if answers of that size are meant",
    ),
    reason(
        "upstream.unheard",
        "the server sent something of its own, and no client listens",
        "nothing: clients that want it open a stream",
    ),
    reason(
        "upstream.unreachable",
        "the server could not be reached or started",
        "check its `url` or `command`, and whether it runs; of one with a `sandbox`, `bartizan doctor` says what a start would miss",
    ),
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    use super::*;

    /// Kinds of entries, which are no rules.
    const KINDS: [&str; 5] =
        ["edge.refused", "gateway.started", "gateway.stopped", "upstream.failed", "upstream.strays"];

    /// Every text of a source, or of all in a directory, that looks like the id of a rule that is no guard's.
    fn named(path: &Path, ids: &mut BTreeSet<String>) {
        if path.is_dir() {
            return std::fs::read_dir(path).unwrap().for_each(|entry| named(&entry.unwrap().path(), ids));
        }
        if path.ends_with("reasons.rs") {
            return;
        }
        let text = std::fs::read_to_string(path).unwrap();
        let is_id = |word: &&str| {
            let ours = ["bridge", "edge", "gateway", "pipeline", "upstream"];
            let plain = |rest: &str| !rest.is_empty() && rest.chars().all(|c| c.is_ascii_lowercase() || c == '_');
            word.split_once('.').is_some_and(|(first, rest)| ours.contains(&first) && plain(rest))
        };
        ids.extend(text.split('"').filter(is_id).map(str::to_owned));
    }

    #[test]
    fn every_rule_of_the_gateway_has_a_reason_and_every_reason_a_rule() {
        let mut ids = BTreeSet::new();
        for sources in ["src", "../guard/src/pipeline.rs"] {
            named(&Path::new(env!("CARGO_MANIFEST_DIR")).join(sources), &mut ids);
        }
        ids.retain(|id| !KINDS.contains(&&**id));
        let known: BTreeSet<_> = ALL.iter().map(|reason| reason.id.to_owned()).collect();
        assert_eq!(ids, known);
        assert!(ALL.is_sorted_by_key(|reason| reason.id));
        assert!(ALL.iter().all(|reason| !reason.what.ends_with('.') && !reason.help.ends_with('.')));
    }
}
