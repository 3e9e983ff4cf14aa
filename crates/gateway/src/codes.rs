//! Codes of errors as JSON-RPC 2.0 (section 5.1) and MCP have them; those of the gateway's own are in `admit`.

pub(crate) const INVALID_REQUEST: i64 = -32_600;
/// The revision, or the server, has no such method.
pub(crate) const METHOD_NOT_FOUND: i64 = -32_601;
pub(crate) const INVALID_PARAMS: i64 = -32_602;
/// The resource is not there; revisions until 2025-11-25.
pub(crate) const RESOURCE_NOT_FOUND: i64 = -32_002;
/// The client has not declared what the request needs; since 2026-07-28.
pub(crate) const MISSING_CAPABILITY: i64 = -32_021;
/// The revision is none of those that are spoken; since 2026-07-28.
pub(crate) const UNSUPPORTED_VERSION: i64 = -32_022;
