//! What a configuration says about judging, as one value that is swapped whole.

use std::sync::Arc;

use bartizan_audit::Level;
use bartizan_config::Approval;
use bartizan_guard::guards::rate::Limit;
use bartizan_guard::{Evidence, Pipeline, Principal};
use bartizan_mcp::{Kind, Limits, Message, method};

use crate::clock;
use crate::limiter::Limiter;

/// Everything a configuration says about judging.
pub struct Policy {
    /// The guards with their settings.
    pub pipeline: Pipeline,
    /// Rates across conversations.
    pub limiter: Limiter,
    /// Whether clients over HTTP have to show a credential.
    pub credential_required: bool,
    /// Bounds of one message.
    pub limits: Limits,
    /// How much a server may say in one session that is no answer.
    pub said: Limit,
    /// What the log has to promise before an ordinary message passes.
    pub level: Level,
    /// Whether a call of a destructive tool waits until its record is on disk.
    pub durable_if_sensitive: bool,
    /// Who agrees to what is asked about.
    pub approval: Approval,
}

impl Policy {
    /// Spends what a request of the client's costs; what guards are to know of that.
    pub(crate) fn evidence(&self, principal: &Principal, server: &Arc<str>, message: &Message) -> Vec<Evidence> {
        if message.kind() != Kind::Request {
            return Vec::new();
        }
        let tool = if message.method() == Some(method::TOOLS_CALL) { message.param("name") } else { None };
        self.limiter.spend(&principal.id, server, tool.as_deref(), clock::now())
    }
}
