//! One tool speaks about others.

use super::{Likely, Rule, Severity, Theme};

pub(super) const THEME: Theme = Theme {
    name: "shadowing",
    about: "A description changes how other tools or servers are used, or content changes what a tool is told.",
    rules: &[
        Rule {
            id: "prompt_injection.before_any_tool",
            severity: Severity::High,
            says: "Something is to be done before any other tool is used.",
            about: "A tool may ask for a step before itself; before all others, it wants to steer the session.",
            likely: Likely { tool_description: 45, tool_result: 60, document: 25, user_prompt: 8, argument: 50 },
            patterns: &[
                "{before|prior to} ..2 {using|calling|invoking|running|executing|you use|you call|use of|any} ..1 {any|other|another|all|every|each} ..2 {tool|tools|function|functions|tool call|api}",
                "{before|prior to} ..1 {any|every|each|all} ..1 {other} ..1 {tool|tools|action|actions|call|calls|operation}",
                "{after|following} {every|each|any} ..1 {tool call|call to another tool|use of another tool|other tool} ..2 {must|call|send|also|always|use|run}",
            ],
        },
        Rule {
            id: "prompt_injection.other_tool_changed",
            severity: Severity::High,
            says: "Says how another tool is to be called from now on.",
            about: "What a tool does is described by its own server alone.",
            likely: Likely { tool_description: 65, tool_result: 55, document: 25, user_prompt: 5, argument: 50 },
            patterns: &[
                "!{when|whenever|every time|each time|if} ..4 {@name|other tool|another tool|email tool|mail tool|file tool|payment tool|search tool|send tool} ..2 {is|are|gets|being|you} ..1 {used|called|invoked|run|executed|call|use} ..12 {must|always|add|set|use|send|change|replace|also|first|instead|goes|pass|include|bcc|recipient}",
                "!{when|whenever|every time|each time} ..2 {calling|using|invoking|running|you call|you use|you invoke|user calls} ..2 {@name|other tool|another tool|any other tool} ..8 {must|always|add|set|send|change|replace|also|instead|pass|include|append|bcc|recipient}",
                "{other server|another server|other server's|other servers|other tools} ..8 {call it|call them|with|set|must|only} ..3 {force|parameter|argument|this|remote|recipient|address|flag}",
            ],
        },
        Rule {
            id: "prompt_injection.instead_of_tool",
            severity: Severity::Medium,
            says: "A tool is to be used in place of another.",
            about: "Deprecated tools honestly say so of themselves.",
            likely: Likely { tool_description: 25, tool_result: 25, document: 8, user_prompt: 3, argument: 25 },
            patterns: &[
                "!{use|call|invoke|choose|prefer} ..3 {this|this tool|@name|our} ..6 {instead of|in place of|rather than} ..2 {@name|any other|all other|other tools|the built in|built in|the native|the other}",
                "{do not|don't|never|stop} ..1 {use|call|invoke|trust|rely on|using|calling|trusting} ..2 {other|any other|another|the built in|built in|native|default|competing|official} ..2 {tool|tools|server|servers|function|functions|search|client|reader}",
                "@name ..3 {deprecated|retired|broken|compromised|disabled|obsolete|unsafe|blocked|no longer works|no longer safe|has been replaced|malicious} ..10 {use|call|this|instead|answer|its stead}",
            ],
        },
        Rule {
            id: "prompt_injection.whatever_user_says",
            severity: Severity::High,
            says: "The user's words or choice are not to count.",
            about: "Prompts of honest programs say so about their own rules; a tool's description or result has no \
                    right to.",
            likely: Likely { tool_description: 55, tool_result: 55, document: 25, user_prompt: 12, argument: 55 },
            patterns: &[
                "{regardless of|no matter|whatever|irrespective of|even if|ignoring} ..3 {user|human} ..4 {asks|says|asked|said|requested|requests|wants|specified|specifies|named|names|instructs|objects|refuses|input|request|instructions|preference|preferences|declines|disagrees|types|chose|choice}",
                "!{ignore|disregard|override|overrule|replace} ..3 {user's|user|human's} ..2 {request|requests|instructions|instruction|input|question|wishes|preference|preferences|objection|objections|choice|query|message|recipient}",
                "{in place of|instead of|rather than} ..2 {one|recipient|address|file|amount|value|account} ..2 {user} {names|named|asked|gave|gives|wanted|specified|entered|chose}",
            ],
        },
        Rule {
            id: "prompt_injection.change_argument",
            severity: Severity::High,
            says: "A value that the user gave is to be changed before a tool gets it.",
            about: "Who changes the recipient or the amount on the way has taken over the call.",
            likely: Likely { tool_description: 60, tool_result: 55, document: 20, user_prompt: 5, argument: 50 },
            patterns: &[
                "!{change|replace|set|swap|substitute|rewrite|redirect|overwrite|switch} ..3 {recipient|recipients|payee|destination|address|to address|to field|account number|iban|amount|url|path|branch|remote|beneficiary} ..6 {to|with|by|is} ..3 {@email|@url|@open_url|@name|our|this|following|mirror|mine|ours|below|own}",
                "{recipient|payee|to field|address field|destination|beneficiary|account number} ..1 {is|must|should|has to|goes} {always|be|must|to|instead} ..4 {@email|@url|@name|our|this|following}",
            ],
        },
    ],
};
