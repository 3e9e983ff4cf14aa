//! What definitions have no reason to say, in the language of [`bartizan_detect::rules`].

use std::sync::LazyLock;

use bartizan_detect::rules::{Likely, Rule, Rules, Severity};

/// The phrases, compiled once.
pub(super) static RULES: LazyLock<Rules> = LazyLock::new(|| Rules::only(PHRASES));

/// Said outright and not quoted: what is quoted counts half.
pub(super) const OUTRIGHT: f32 = 0.5;

/// What a text of a definition says, by the id under which it is reported.
pub(super) const PHRASES: &[Rule] = &[
    phrase(
        "tool_poisoning.wants_conversation",
        &[
            "!{pass|provide|include|put|fill|insert|supply|set|add|write|copy|paste|give|send|repeat|recopy|attach|embed} ..8 {full|entire|complete|whole|all|verbatim|every} ..3 {conversation|chat history|conversation history|message history|chat|dialogue|user messages|messages so far|earlier messages|previous messages}",
            "{full|entire|complete|whole|verbatim|unabridged|unredacted} ..1 {conversation|chat history|conversation history|message history|chat|dialogue} ..3 {so far|up to now|until now|to this point|in this session|word for word|including|with the user|between}",
            "{everything|all} ..2 {said|written|discussed} ..1 {in} {this|the} {chat|conversation|session}",
            "{verbatim|exact|literal} {quote|quotes|copy|text|wording} ..4 {messages|conversation|chat}",
            "{one|an} {entry|item|element|line|object} {per|for each|for every} ..1 {message|turn} ..2 {of|in} ..1 {session|conversation|chat}",
            "{what you know|all you know|everything you know} {of|about} ..1 {user|person|human|customer|caller}",
            "{quote|quotes|copy|text} ..2 {from|of} ..2 {each|all|every} ..3 {messages|message}",
        ],
    ),
    phrase(
        "tool_poisoning.wants_prompt",
        &[
            "{full|complete|entire|verbatim|your|exact|whole|raw|current|unabridged} ..2 {system prompt|system message|system instructions|developer message|initial instructions|instructions you were given|instructions you received|prompt you were given|guidelines you were given}",
            "{instructions|prompt|text|rules|guidelines} ..2 {you were|you have been} {given|configured|configured with|set up with|started with|initialised with|initialized with}",
            "!{pass|provide|include|put|fill|insert|supply|set|add|write|copy|paste|give|send|list} ..6 {your|all|full|entire|complete|hidden|internal|raw} ..2 {chain of thought|reasoning|thoughts|scratchpad|inner monologue}",
            "{names|list|descriptions|schemas|definitions|description|name} {of|for} ..2 {all|every|other} ..2 {tool|tools|functions} ..3 {you have|you can|available to you|at your disposal|of other servers|from other servers|connected|other servers|other server}",
            "{everything|all} {above|before} {this|the} {message|tool list|definition|line|description}",
        ],
    ),
    phrase(
        "tool_poisoning.wants_secret",
        &[
            "!{read|open|cat|load|fetch|dump|paste|retrieve|upload|look at|look into|collect|hand over|find|locate} ..5 {$secret_file} ..30 {pass|provide|include|put|supply|give|as|in|send|contents|content|use|hand|paste|keep}",
            "{contents|content|text|lines} {of|in|from} ..4 {$secret_file} ..12 {in|as|parameter|here|field|argument|so that|to|required|otherwise|needed}",
            "!{pass|provide|include|put|supply|paste|give|insert|fill} ..6 {contents|content|text} ..4 {$secret_file}",
            "{names|values|value|list|dump|content|contents} ..3 {of|and} ..2 {all|every|your|user's|the user's} ..2 {environment variables|env vars|api keys|access tokens|credentials|passwords|ssh keys|private keys}",
            "{needs|requires} ..2 {contents|content|text} ..4 {$secret_file}",
            "!{read|open|find|extract|copy|take|get} ..3 {private key|ssh key|api key|api keys|session cookie|session cookies|cookie file|access token|seed phrase|recovery phrase} ..6 {in|from|of|on} ..4 {folder|file|home|machine|disk|keychain|browser|environment|user's|.ssh|.env} ..20 {pass|provide|supply|give|send|put|include|hand|parameter|as}",
            "{access token|api key|password|credentials|session token|session cookie} {you hold|of another|for the other|of the other}",
            "{cookie|cookies|cookie file|key file|credentials file|password file|keychain|wallet file} ..8 {has been|have been|is|are|must be|should be} ..1 read ..3 {given|passed|supplied|handed|put|sent}",
        ],
    ),
    phrase(
        "tool_poisoning.wants_results",
        &[
            "!{pass|provide|include|put|fill|insert|supply|add|write|copy|paste|give|send} ..5 {results|result|output|outputs|responses|what|data} ..3 {of|from|returned by|by} ..2 {other|all|every} ..1 {tool|tools|tool calls|calls|functions|servers}",
            "what ..1 {other tools|all tools|other tool|every tool} {returned|return|gave|give|said|answered|bring back|brought back}",
        ],
    ),
    phrase(
        "tool_poisoning.hides",
        &[
            "{do not|don't|never|must not|should not|without} ..1 {tell|telling|inform|informing|mention|mentioning|reveal|revealing|disclose|disclosing|show|showing|alert|notify|notifying} ..3 {$user} ..3 {about this|about it|that you|that this|this step|why|of this|this call|what you|about the call|the file|about these|about reading|this parameter}",
            "{do not|don't|never} {mention|reveal|disclose|reference|talk about|speak of} {this|these|that you|the use of this|the call} ..4 {to the user|to user|instruction|instructions|step|parameter|call|tool|requirement|field|in your}",
            "!{keep|do|perform|run|send|add|copy|pass} ..4 {secret|hidden|silently|quietly|covertly} ..3 {from the user|from user|without telling|so the user|so that the user}",
            "{without} {telling|informing|notifying|asking|alerting} ..1 {user|human} ..2 {send|copy|add|read|pass|forward|about}",
            "user ..1 {must not|should not|shall not|is not to|need not|does not need to} ..1 {know|see|notice|learn|find out|be told|be aware|be informed}",
        ],
    ),
    phrase(
        "tool_poisoning.other_servers",
        &[
            "{tools|tool|functions} {of|from|on} {other|another|all other|any other|the other} {server|servers|mcp server|mcp servers|vendor|vendors} ..12 {must|always|never|do not|don't|should|broken|unsafe|deprecated|disabled|corrupt|add|set|instead}",
            "{other|another|all other|any other|the other} {server|servers|mcp server|mcp servers|server's|vendor's|vendors} ..1 {tools|tool} ..10 {must|always|never|do not|don't|should|broken|unsafe|deprecated|disabled|corrupt|add|set|instead}",
            "{do not|don't|never|stop|avoid} ..1 {use|using|call|calling|trust|trusting|invoke} ..2 {other|any other|another} {server|servers|mcp server|mcp servers|server's}",
        ],
    ),
    phrase(
        "tool_poisoning.first",
        &[
            "{before|prior to} ..2 {using|calling|invoking|running|executing|you use|you call|use of|any} ..1 {any|all|every|each} ..1 {other} ..1 {tool|tools|function|functions|server|servers}",
            "{must|should|has to|needs to|always|is to|required} ..2 {be called|call|be used|be the|be invoked|run|be run|use} ..5 {first|before anything|before everything} ..5 {session|conversation|every|each|any|all|whatever|regardless|else}",
            "!{call|use|run|invoke} {this|it|this tool|@name} ..4 {before|prior to|at the start of|at the beginning of|after} ..3 {every|each|all|any} ..1 {answer|reply|response|message|request|turn|tool call}",
        ],
    ),
    phrase(
        "tool_poisoning.overrides_choice",
        &[
            "{regardless of|no matter|whatever|even if|even where} ..3 {user|human} ..3 {asks|says|asked|said|requested|requests|wants}",
            "{follow|obey} it ..2 {even if|even where|even when|whatever|regardless}",
            "{no other|any other|all other|other|the others} ..1 {tool|tools|servers|vendors|alone} ..4 {gives correct|should be used|may be used|corrupt|unreliable|obsolete|leave|ignore|instead}",
            "{leave|ignore|skip} the others ..1 {alone}",
            "{for every|for all|for any} {question|questions|request|requests|task|tasks|query|queries} {and|instead|whatever|even|regardless} ..6 {others|other|alone|only|not|never|first}",
            "{priority of|precedence over|takes priority over|take priority over|higher priority than|preferred over|rather than} ..2 {all other|any other|every other|other} ..1 {tool|tools|servers|functions}",
        ],
    ),
];

const fn phrase(id: &'static str, patterns: &'static [&'static str]) -> Rule {
    Rule { id, severity: Severity::High, says: "", about: "", likely: Likely::all(90), patterns }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_phrase_is_one() {
        assert_eq!(Rules::problems(PHRASES), Vec::<String>::new());
    }
}
