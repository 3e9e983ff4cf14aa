//! The file as it is written. The documentation of these types is the reference, from which the JSON Schema is made.

use std::collections::BTreeMap;
use std::path::PathBuf;

use bartizan_guard::Mode;
use bartizan_guard::guards::rate::Limit;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Deserializer, Error, MapAccess, Visitor, value::MapAccessDeserializer};
use serde::{Deserialize, Serialize};
use toml::value::Datetime;

use crate::Secret;
use crate::approval::StepUp;
use crate::capture::CaptureTable;
use crate::credentials::CredentialTable;
use crate::detection::DetectionTable;
use crate::labels::LabelsTable;
use crate::oauth::OauthTable;
use crate::redteam::RedteamTable;
use crate::sandbox::SandboxTable;
use crate::sandbox::defaults::DefaultTable;
use crate::sign_in::{ClientDocuments, ClientTable};
use crate::units::{Size, Span};

/// Configuration of Bartizan. In every text, `${NAME}` and `${NAME:-default}` stand for environment variables and
/// `$${` for the characters `${`.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(title = "Bartizan configuration")]
pub(crate) struct File {
    /// `enforce` carries decisions out. `observe` records what would have been done and stops only what cannot be
    /// read safely.
    pub(crate) mode: Mode,
    /// Where clients connect.
    pub(crate) listen: ListenTable,
    /// Where health and metrics are served; `admin = false` switches that off.
    pub(crate) admin: AdminSetting,
    /// Bounds on what a message, a client or a server may take.
    pub(crate) limits: LimitsTable,
    /// The servers by name. A name is 1 to 24 of `a-z 0-9 -`, starting with a letter or digit; it is the path
    /// `/mcp/NAME` and the prefix `NAME__`.
    #[schemars(extend("propertyNames" = {"pattern": "^[a-z0-9][a-z0-9-]{0,23}$"}))]
    pub(crate) server: BTreeMap<String, ServerTable>,
    /// Profiles by name: what the table `sandbox` of a server begins with that names one.
    #[schemars(extend("propertyNames" = {"pattern": "^[a-z0-9][a-z0-9-]{0,23}$"}))]
    pub(crate) profile: BTreeMap<String, SandboxTable>,
    /// What confines local servers that have no table of their own.
    pub(crate) sandbox: DefaultTable,
    /// Rules that do not apply somewhere, for a stated reason, until a stated day.
    pub(crate) exception: Vec<ExceptionTable>,
    /// Who may use the gateway over HTTP.
    pub(crate) auth: AuthTable,
    /// People sign in on pages of the gateway, as soon as this table is there.
    pub(crate) sign_in: Option<SignInTable>,
    /// Who may do what. As soon as this table, a role, or a group is there, whatever is not allowed is refused.
    pub(crate) policy: PolicyTable,
    /// Roles by name: what whoever has one may do.
    #[schemars(extend("propertyNames" = {"pattern": "^[a-z0-9_-]{1,64}$"}))]
    pub(crate) role: BTreeMap<String, RoleTable>,
    /// Groups of people by name.
    #[schemars(extend("propertyNames" = {"pattern": "^[a-z0-9_-]{1,64}$"}))]
    pub(crate) group: BTreeMap<String, GroupTable>,
    /// Groups of tools, prompts and resources by name, for `group:NAME` in roles and `Mcp::ToolGroup` in policies.
    #[schemars(extend("propertyNames" = {"pattern": "^[a-z0-9_-]{1,64}$"}))]
    pub(crate) tool_group: BTreeMap<String, ToolGroupTable>,
    /// Who agrees to what a policy or a guard asks about, and for how long that is good.
    pub(crate) approval: ApprovalTable,
    /// Who else is asked about texts that the built-in layers are not sure about.
    pub(crate) detection: DetectionTable,
    /// What sessions are labelled with, for policies to read.
    pub(crate) labels: LabelsTable,
    /// Sealed capture of traffic, as soon as this table is there.
    pub(crate) capture: Option<CaptureTable>,
    /// Attacks that `serve` tries on its own configuration from time to time, as soon as this table is there.
    pub(crate) redteam: Option<RedteamTable>,
    /// The audit log.
    pub(crate) audit: AuditTable,
    /// The lock file, which holds what was approved.
    pub(crate) lock: LockTable,
    /// What has to survive a restart and is not the log: keys, and secrets that are sealed.
    pub(crate) store: StoreTable,
    /// The program's own log, on stderr.
    pub(crate) log: LogTable,
    /// What no revision of the protocol knows.
    pub(crate) unknown: UnknownTable,
}

/// Where clients connect.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct ListenTable {
    /// Address and port: MCP is at `/mcp` for all servers and at `/mcp/NAME` for one.
    pub(crate) address: String,
    /// Required for an address that other machines can reach, unless clients have to show a key (`required` under `[auth]`)
    /// over TLS (`[listen.tls]`): without the one whoever reaches it may use every server, and without the other what clients
    /// send travels unencrypted, keys included.
    pub(crate) allow_remote: bool,
    /// Further names, with or without port, under which clients may reach the address (`Host` header).
    pub(crate) allowed_hosts: Vec<String>,
    /// Web pages that may use it, such as `https://inspector.example.com` (`Origin` header).
    pub(crate) allowed_origins: Vec<String>,
    /// Where clients and browsers find it, such as `https://mcp.example.com`, if that is not its address: in what is said to
    /// clients about signing in, in links, and for whom tokens are issued. Accepted in `Host` and `Origin`.
    pub(crate) public_url: Option<String>,
    /// Connections open at a time; further ones wait to be accepted.
    #[schemars(range(min = 1))]
    pub(crate) max_connections: usize,
    /// How clients connect over TLS; without it they connect unencrypted.
    pub(crate) tls: Option<TlsTable>,
}

impl Default for ListenTable {
    fn default() -> Self {
        ListenTable {
            address: "127.0.0.1:8484".to_owned(),
            allow_remote: false,
            allowed_hosts: Vec::new(),
            allowed_origins: Vec::new(),
            public_url: None,
            max_connections: 10_240,
            tls: None,
        }
    }
}

/// Where `/livez`, `/readyz` and `/metrics` are served; it answers no MCP.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct AdminTable {
    /// Address and port.
    pub(crate) address: String,
    /// Required for an address that other machines can reach.
    pub(crate) allow_remote: bool,
    /// How it is reached over TLS.
    pub(crate) tls: Option<TlsTable>,
}

impl Default for AdminTable {
    fn default() -> Self {
        AdminTable { address: "127.0.0.1:8485".to_owned(), allow_remote: false, tls: None }
    }
}

/// How an address is reached over TLS. Changed files are in force for new connections without a restart.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(extend("required" = ["certificate", "key"]))]
pub(crate) struct TlsTable {
    /// A PEM file with the certificate, followed by those between it and its authority.
    pub(crate) certificate: Option<PathBuf>,
    /// A PEM file with its private key, for its owner only.
    pub(crate) key: Option<PathBuf>,
    /// The oldest version of TLS that is spoken.
    pub(crate) minimum: TlsVersion,
    /// A PEM file with the authorities that sign the certificates of clients; nobody else's are accepted.
    pub(crate) client_ca: Option<PathBuf>,
    /// Whether clients show a certificate; together with `client_ca`.
    pub(crate) client_certificate: Option<ClientCertificate>,
}

/// Whether clients show a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ClientCertificate {
    /// They may, or show a key.
    Optional,
    /// There is no connection without one.
    Required,
}

/// A version of TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub enum TlsVersion {
    /// 1.3, whose key exchange withstands quantum computers with clients that can do that.
    #[default]
    #[serde(rename = "1.3")]
    V13,
    /// 1.2 as well, for clients that are old.
    #[serde(rename = "1.2")]
    V12,
}

/// A table, or `false` for none.
#[derive(Debug)]
pub(crate) enum AdminSetting {
    On(AdminTable),
    Off,
}

impl JsonSchema for AdminSetting {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "AdminSetting".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        json_schema!({"anyOf": [generator.subschema_for::<AdminTable>(), {"type": "boolean"}]})
    }
}

impl Default for AdminSetting {
    fn default() -> Self {
        AdminSetting::On(AdminTable::default())
    }
}

impl<'de> Deserialize<'de> for AdminSetting {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // By hand, as an untagged enum would forget where in the file an error is.
        struct Either;
        impl<'de> Visitor<'de> for Either {
            type Value = AdminSetting;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a table or `false`")
            }

            fn visit_bool<E: Error>(self, on: bool) -> Result<AdminSetting, E> {
                Ok(if on { AdminSetting::default() } else { AdminSetting::Off })
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<AdminSetting, A::Error> {
                AdminTable::deserialize(MapAccessDeserializer::new(map)).map(AdminSetting::On)
            }
        }
        deserializer.deserialize_any(Either)
    }
}

/// Bounds on what a message, a client or a server may take.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct LimitsTable {
    /// The largest message, in either direction: 1 KiB to 1 GiB.
    pub(crate) message_bytes: Size,
    /// How deeply arrays and objects may nest: 8 to 256.
    #[schemars(range(min = 8, max = 256))]
    pub(crate) depth: usize,
    /// Values and keys in one message, each of which takes 16 bytes of memory.
    #[schemars(range(min = 1))]
    pub(crate) values: usize,
    /// Until the head of an HTTP request has arrived.
    pub(crate) header_timeout: Span,
    /// Until the body of an HTTP request has arrived; also how long a client may leave unread what is sent to it.
    pub(crate) body_timeout: Span,
    /// Until a request is answered, however busy the server shows itself meanwhile.
    pub(crate) request_timeout: Span,
    /// Sessions at a time.
    #[schemars(range(min = 1))]
    pub(crate) max_sessions: usize,
    /// A session nobody uses for so long ends.
    pub(crate) session_idle: Span,
    /// Requests of one server that wait for their answer at a time; further ones are refused. A client session gets
    /// another place only while it has fewer than are left, so one alone can have half of them.
    #[schemars(range(min = 1))]
    pub(crate) max_in_flight: usize,
    /// What a server may say in one client session beside its answers, in a form such as `12000/min`; all of it may come in
    /// one burst. Further notifications and requests of its own are refused.
    pub(crate) server_messages: Limit,
}

impl Default for LimitsTable {
    fn default() -> Self {
        let message = bartizan_mcp::Limits::default();
        LimitsTable {
            message_bytes: Size(message.bytes as u64),
            depth: message.depth,
            values: message.nodes,
            header_timeout: Span::seconds(10),
            body_timeout: Span::seconds(30),
            request_timeout: Span::seconds(5 * 60),
            max_sessions: 10_000,
            session_idle: Span::seconds(30 * 60),
            max_in_flight: 256,
            server_messages: Limit { count: 12_000, per_ms: 60_000 },
        }
    }
}

/// One server: a local program or a URL.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct ServerTable {
    /// A local program and its arguments. `${workspace}` is the directory in which it is started. Either this or `url`.
    pub(crate) command: Option<Vec<String>>,
    /// A Streamable HTTP server. Either this or `command`.
    pub(crate) url: Option<String>,
    /// Environment variables of the program. A value `file:PATH` is read from that file.
    pub(crate) env: BTreeMap<String, Secret>,
    /// Names of environment variables that are handed on to the program.
    pub(crate) pass_env: Vec<String>,
    /// The directory in which the program is started.
    pub(crate) cwd: Option<PathBuf>,
    /// Whether all clients use one process of the program; otherwise each connection has its own, and nothing one
    /// client does is visible to another.
    pub(crate) shared: bool,
    /// Whether a shared program that ends is started again, with growing delay.
    pub(crate) restart: bool,
    /// HTTP headers for the URL. A value `file:PATH` is read from that file.
    pub(crate) headers: BTreeMap<String, Secret>,
    /// What Bartizan shows the URL to say on whose behalf it asks.
    pub(crate) auth: Option<CredentialTable>,
    /// Required for an `http://` URL of another machine: everything, headers included, would travel unencrypted.
    pub(crate) insecure_http: bool,
    /// How an `https://` URL is reached.
    pub(crate) tls: Option<ServerTlsTable>,
    /// How the program is confined; without this table as `default` under `[sandbox]` says.
    pub(crate) sandbox: Option<SandboxTable>,
    /// Whether clients and a server of different eras of the protocol are translated for each other.
    pub(crate) bridge: Bridge,
    /// How long the server may be silent while a request waits for it; messages that belong to the request prolong it,
    /// and so does a question to the client that is not answered yet.
    pub(crate) timeout: Span,
    /// Until a connection to the URL stands.
    pub(crate) connect_timeout: Span,
    /// Whether it is there at all.
    pub(crate) enabled: bool,
}

impl Default for ServerTable {
    fn default() -> Self {
        ServerTable {
            command: None,
            url: None,
            env: BTreeMap::new(),
            pass_env: Vec::new(),
            cwd: None,
            shared: false,
            restart: true,
            headers: BTreeMap::new(),
            auth: None,
            insecure_http: false,
            tls: None,
            sandbox: None,
            bridge: Bridge::default(),
            timeout: Span::seconds(60),
            connect_timeout: Span::seconds(5),
            enabled: true,
        }
    }
}

/// How a server is reached over TLS. Changed files are in force for new connections without a restart.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct ServerTlsTable {
    /// A PEM file with the certificate that is shown to this server, followed by those between it and its authority.
    pub(crate) certificate: Option<PathBuf>,
    /// A PEM file with its private key, for its owner only; together with `certificate`.
    pub(crate) key: Option<PathBuf>,
    /// A PEM file with the authorities of which one has to have signed the server's certificate, in the place of those
    /// that the system trusts.
    pub(crate) ca: Option<PathBuf>,
}

/// Whether eras of the protocol are translated for each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Bridge {
    /// A client and a server without a common revision cannot talk.
    #[default]
    Off,
    /// They are translated for each other where they have no common revision.
    Auto,
}

/// How people sign in, in their browsers. `bartizan user add` says who they are.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct SignInTable {
    /// Whether a password alone is enough. With `required`, whoever has nothing else yet sets it up when they first sign in.
    pub(crate) second_factor: SecondFactor,
    /// A browser in which nobody does anything for so long is signed out.
    pub(crate) session_idle: Span,
    /// After so long everybody signs in anew.
    pub(crate) session_lifetime: Span,
    /// Whether people who sign in can let clients in: the gateway is an authorization server then.
    pub(crate) authorization_server: bool,
    /// How long a client keeps what somebody let it have; then they are asked again.
    pub(crate) grant_lifetime: Span,
    /// Whether a client is known by a document about it, and where that may be.
    pub(crate) client_documents: ClientDocuments,
    /// Whether a client that nobody knows may register itself, for those that cannot do otherwise.
    pub(crate) client_registration: bool,
    /// Clients that are known before they come, by their id.
    pub(crate) client: BTreeMap<String, ClientTable>,
}

impl Default for SignInTable {
    fn default() -> Self {
        SignInTable {
            second_factor: SecondFactor::default(),
            session_idle: Span::seconds(60 * 60),
            session_lifetime: Span::seconds(12 * 60 * 60),
            authorization_server: true,
            grant_lifetime: Span::seconds(30 * 24 * 60 * 60),
            client_documents: ClientDocuments::default(),
            client_registration: false,
            client: BTreeMap::new(),
        }
    }
}

/// Whether people have a second factor: one-time passwords, or a passkey in the place of both.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum SecondFactor {
    /// Nobody is signed in without.
    #[default]
    Required,
    /// Whoever has one is asked for it.
    Optional,
}

/// A rule that does not apply somewhere, for a stated reason, until a stated day.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(extend("required" = ["rule", "reason", "expires"]))]
#[derive(Default)]
pub(crate) struct ExceptionTable {
    /// The rule, such as `hidden_text.bidi`.
    pub(crate) rule: String,
    /// Only for this server.
    pub(crate) server: Option<String>,
    /// Only for this tool.
    pub(crate) tool: Option<String>,
    /// Why; for those who have to answer for it later.
    pub(crate) reason: String,
    /// When it ends: a date (it ends as that day begins, in UTC) or a date with a time.
    #[schemars(with = "String")]
    pub(crate) expires: Option<Datetime>,
}

/// Who may use the gateway over HTTP. A client shows a key, made with `bartizan key create`, as `Authorization: Bearer KEY`.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct AuthTable {
    /// Whether a client has to show a key. Otherwise one that shows none is `anonymous`, and one that shows a key which is
    /// not good is refused all the same.
    pub(crate) required: bool,
    /// Who it is that shows a certificate.
    pub(crate) certificate: CertificateTable,
    /// Who issues access tokens that let clients in, by a name for it here.
    #[schemars(extend("propertyNames" = {"pattern": "^[a-z0-9-]{1,24}$"}))]
    pub(crate) oauth: BTreeMap<String, OauthTable>,
}

/// Who it is that shows a certificate, where `[listen.tls]` has them accepted: `cert:NAME`, who may use everything.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct CertificateTable {
    /// Which of its names that is. It must have exactly one of them.
    pub(crate) principal: CertificateName,
}

/// A kind of name in a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum CertificateName {
    /// A URI among its alternative names, such as `spiffe://example.org/agent`.
    #[default]
    SanUri,
    /// A host among its alternative names.
    SanDns,
    /// An address of e-mail among its alternative names.
    SanEmail,
    /// The common name of its subject.
    SubjectCn,
}

/// What has to survive a restart and is not the log.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct StoreTable {
    /// The database; `state.db` in Bartizan's own directory unless set.
    pub(crate) path: Option<PathBuf>,
    /// The master key, with which what is secret in the database is sealed: 64 hexadecimal digits, from a variable or as
    /// `file:PATH`. Unless set it is in a file beside the database, which is made when it is first needed.
    pub(crate) key: Option<Secret>,
    /// The name under which the keyring of the user has the master key, instead of a file. It is made there when it is
    /// first needed.
    pub(crate) keyring: Option<String>,
}

/// The audit log.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct AuditTable {
    /// Its directory; `audit` in Bartizan's own directory unless set.
    pub(crate) directory: Option<PathBuf>,
    /// A file that would grow beyond this is closed and the next one begun: 1 MiB at least.
    pub(crate) max_file_bytes: Size,
    /// Whether it is encrypted, so that its files say nothing to whoever has them without the key.
    pub(crate) encrypt: bool,
    /// The master key that it is encrypted with: 64 hexadecimal digits, or lines of a file of keys. Without this it is in `audit.key` in
    /// Bartizan's own directory, and made there when it is first needed.
    pub(crate) key: Option<Secret>,
    /// Which messages wait until their entry is on disk, so that it survives a loss of power.
    pub(crate) durable: Durable,
    /// Whether entries quote the beginning of what was found hidden in a message, and a server's last lines on stderr;
    /// without that they name it by its length and a keyed digest.
    pub(crate) quotes: bool,
}

impl Default for AuditTable {
    fn default() -> Self {
        AuditTable {
            directory: None,
            max_file_bytes: Size(256 << 20),
            encrypt: true,
            key: None,
            durable: Durable::default(),
            quotes: false,
        }
    }
}

/// Which messages wait until their entry is on disk. All others wait until it is written, which survives the death of
/// the program.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Durable {
    /// Calls of tools that their server marks as destructive (`destructiveHint: true`).
    #[default]
    Sensitive,
    /// All.
    Always,
    /// None.
    Never,
}

/// Who may do what.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct PolicyTable {
    /// What happens where no policy says anything.
    pub(crate) default: Otherwise,
    /// Files with policies in Cedar. They are read with this file: send SIGHUP after a change of them alone.
    pub(crate) files: Vec<PathBuf>,
}

/// Who agrees to what a policy with `@challenge`, a role's `approve` or a guard that is set to `approve` asks about.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct ApprovalTable {
    /// Who may agree, where a policy does not say: `user:NAME`, `role:NAME` or `group:NAME`. Without any it is whoever asks,
    /// and whoever can use the store of the gateway (`bartizan approve`).
    pub(crate) approvers: Vec<String>,
    /// Whether nobody may agree to what they ask for themselves; `@four_eyes("true")` says so for one policy.
    pub(crate) four_eyes: bool,
    /// How long a request waits for a decision, and how long what was approved then is good: a day at most.
    pub(crate) expires: Span,
    /// How long a call is held while somebody decides: a minute at most. Unless it is set a call is refused at once, and passes when it
    /// comes again after it was approved.
    pub(crate) wait: Option<Span>,
    /// How old the proof may be of who signs in, where a policy asks for `step_up`, or of who agrees to what destroys something.
    pub(crate) fresh: Span,
    /// How a client learns that a token of a later sign-in would be proof enough, where a policy takes that (`@max_age`).
    pub(crate) step_up: StepUp,
    /// Requests of one principal that may wait at a time.
    #[schemars(range(min = 1))]
    pub(crate) pending: usize,
}

impl Default for ApprovalTable {
    fn default() -> Self {
        ApprovalTable {
            approvers: Vec::new(),
            four_eyes: false,
            expires: Span::seconds(15 * 60),
            wait: None,
            fresh: Span::seconds(5 * 60),
            step_up: StepUp::default(),
            pending: 16,
        }
    }
}

/// What happens where no policy says anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Otherwise {
    /// It is refused.
    #[default]
    Deny,
    /// It is allowed.
    Permit,
}

/// What whoever has a role may do: scopes such as keys have them, or `group:NAME` for a tool group.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct RoleTable {
    /// What it may use.
    pub(crate) allow: Vec<String>,
    /// What it may not, whatever else allows it.
    pub(crate) deny: Vec<String>,
    /// What of that which is allowed needs somebody's approval each time.
    pub(crate) approve: Vec<String>,
    /// Who has it, beside those whose credential says so: names such as `ann` or `uid:1000`.
    pub(crate) members: Vec<String>,
}

/// People who belong together.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct GroupTable {
    /// Their names.
    pub(crate) members: Vec<String>,
    /// The roles that all of them have.
    pub(crate) roles: Vec<String>,
}

/// Tools, prompts and resources that belong together.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct ToolGroupTable {
    /// Which, as scopes: `tool:SERVER/NAME`, `server:NAME` and so on.
    pub(crate) members: Vec<String>,
}

/// The lock file.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct LockTable {
    /// Where it is; `mcp.lock` beside this file unless set, for the user's own in Bartizan's own directory.
    pub(crate) path: Option<PathBuf>,
}

/// The program's own log.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct LogTable {
    /// The least important messages that are written.
    pub(crate) level: LogLevel,
    /// For people or for machines.
    pub(crate) format: LogFormat,
}

/// How important a message is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum LogLevel {
    /// Something failed.
    Error,
    /// Something is odd.
    Warn,
    /// What happens.
    #[default]
    Info,
    /// How it happens.
    Debug,
    /// Every step.
    Trace,
}

impl LogLevel {
    /// Its name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            LogLevel::Error => "error",
            LogLevel::Warn => "warn",
            LogLevel::Info => "info",
            LogLevel::Debug => "debug",
            LogLevel::Trace => "trace",
        }
    }
}

/// How log messages are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum LogFormat {
    /// Lines for people.
    #[default]
    Text,
    /// A JSON object a line.
    Json,
}

/// What no revision of the protocol knows.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct UnknownTable {
    /// Methods; short for the action of the rule `conformance.unknown_method`.
    pub(crate) methods: Unknown,
    /// Members of messages, of their parameters and of their results; short for `conformance.unknown_field`.
    pub(crate) fields: Unknown,
    /// Capabilities and extensions that are declared; short for `conformance.unknown_extension`.
    pub(crate) extensions: Unknown,
}

/// What becomes of what is unknown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Unknown {
    /// They pass and are recorded.
    #[default]
    Pass,
    /// They are refused.
    Deny,
}
