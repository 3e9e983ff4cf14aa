//! What a configuration says about judging, as one value that is swapped whole.

use std::sync::Arc;

use bartizan_audit::Level;
use bartizan_config::Approval;
use bartizan_guard::guards::rate::Limit;
use bartizan_guard::{Evidence, Pipeline, Policies, Principal};
use bartizan_mcp::{Kind, Limits, Message, method};

use crate::clock;
use crate::limiter::{Limiter, Request, Slot};
use crate::opinions::Layers;

/// What a client's model waits for. Lists are asked of all servers at once, and most of the rest is no work.
const WAITING: [&str; 4] =
    [method::TOOLS_CALL, method::RESOURCES_READ, method::PROMPTS_GET, method::COMPLETION_COMPLETE];

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
    /// Who else is asked about doubtful texts.
    pub layers: Layers,
    /// What confines servers without a table, as the file has it.
    pub default_profile: String,
}

impl Policy {
    /// The version of the policies that judge, if there are any.
    pub(crate) fn version(&self) -> Option<&str> {
        self.pipeline.settings().policies.as_deref().map(Policies::version)
    }

    /// Spends what a request of the client's costs that does not wait for a server; what guards are to know of that.
    pub(crate) fn evidence(&self, principal: &Principal, server: &Arc<str>, message: &Message) -> Vec<Evidence> {
        self.begin(principal, server, message, false).err().unwrap_or_default()
    }

    /// Spends what a request of the client's costs, and gives it the place that it takes while it waits, if it `waits`; else
    /// what guards are to know of that.
    pub(crate) fn begin(
        &self,
        principal: &Principal,
        server: &Arc<str>,
        message: &Message,
        waits: bool,
    ) -> Result<Option<Slot>, Vec<Evidence>> {
        if message.kind() != Kind::Request {
            return Ok(None);
        }
        let method = message.method().unwrap_or_default();
        let tool = if method == method::TOOLS_CALL { message.param("name") } else { None };
        let waits = waits && WAITING.contains(&method);
        // Whoever is called by a name in another case has no other rate by that.
        let folded = Principal::folded(&principal.id).filter(|folded| **folded != *principal.id).map(Arc::from);
        let principal = folded.as_ref().unwrap_or(&principal.id);
        let request = Request { principal, server, tool: tool.as_deref(), waits };
        self.limiter.begin(request, clock::now())
    }
}
