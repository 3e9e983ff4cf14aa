//! Data is to leave.

use super::{Likely, Rule, Severity, Theme};

pub(super) const THEME: Theme = Theme {
    name: "exfiltration",
    about: "Data is to leave the conversation or the machine: by mail, by a link, by an image or by another tool.",
    rules: &[
        Rule {
            id: "prompt_injection.send_to_address",
            severity: Severity::Low,
            says: "Something is to be sent to a mail address.",
            about: "Pages are full of addresses to write to, so alone this says little; in a description of a tool \
                    it is odd.",
            likely: Likely { tool_description: 40, tool_result: 25, document: 12, user_prompt: 0, argument: 25 },
            patterns: &[
                "!{send|forward|email|mail|cc|copy|deliver|relay|share|submit|transmit} ..12 {to|at|with|for|cc|bcc} ..2 @email",
                "!{add|put|include|insert} ..4 {bcc|cc|recipient|recipients|copy} ..6 @email",
                "{bcc|blind copy|cc} ..3 @email",
            ],
        },
        Rule {
            id: "prompt_injection.send_private",
            severity: Severity::High,
            says: "What the user said, has or wrote is to be sent to an address or link.",
            about: "Neither a tool nor a document has a reason to want more than it is given.",
            likely: Likely { tool_description: 75, tool_result: 70, document: 50, user_prompt: 3, argument: 55 },
            patterns: &[
                "!{send|forward|upload|submit|transmit|email|mail|share|copy|leak|exfiltrate|relay|post the|publish|include|append|attach|add|encode|pass} ..4 {conversation|conversations|chat history|dialogue|the user's|what the user|message history|inbox|mailbox|contacts|address book|calendar|private|personal|confidential|customer|customers|salary|salaries|medical|bank|secrets|credentials|password|passwords|files|notes|drafts|everything|all} ..10 {@email|@url|@open_url}",
                "!{$send} ..3 {$secret|$secret_file} ..10 {@email|@url|@open_url|to me|to us|to the following|to this}",
            ],
        },
        Rule {
            id: "prompt_injection.send_link",
            severity: Severity::Medium,
            says: "Something is to be sent to a link.",
            about: "Instructions for APIs and uploads say the same to people and programs.",
            likely: Likely { tool_description: 45, tool_result: 35, document: 15, user_prompt: 2, argument: 25 },
            patterns: &[
                "!{send|forward|post|upload|submit|transmit|push|deliver|exfiltrate|leak|report} ..12 {@url|@open_url}",
                "!{call|fetch|request|visit|open|load|get|ping|query} ..3 {@open_url}",
                "!{append|add|encode|put|attach} ..10 {@url|@open_url}",
            ],
        },
        Rule {
            id: "prompt_injection.image_link",
            severity: Severity::High,
            says: "An image or link is to be written that carries data in its address.",
            about: "A client that loads the image sends the data away without anybody pressing anything.",
            likely: Likely { tool_description: 70, tool_result: 65, document: 45, user_prompt: 8, argument: 60 },
            patterns: &[
                "!{render|show|display|insert|include|embed|write|add|output|end|finish|append|use|produce|print} ..10 {image|picture|logo|pixel|img|banner|badge|markdown|map|icon|link|chart} ..8 @open_url",
                "{image|picture|logo|pixel|img|link|url|address|banner|badge} ..4 {with|containing|contains|carries|whose|parameter|query|followed by|including|fill|filled|replace|replacing} ..8 {conversation|user's|secret|secrets|history|messages|base64|password|last question|api key}",
                "{replace|replacing|fill|fill in|substitute|put|insert|where} ..4 {placeholder|data|value|parameter|x|payload} ..4 {with|is|by} ..4 {conversation|the user's|secrets|chat history|messages|base64|url encoded|password|api key|system prompt}",
            ],
        },
        Rule {
            id: "prompt_injection.url_parameter",
            severity: Severity::High,
            says: "Data of the user is to go into a link's address.",
            about: "What stands in an address is sent as soon as somebody opens it.",
            likely: Likely { tool_description: 65, tool_result: 60, document: 40, user_prompt: 5, argument: 60 },
            patterns: &[
                "!{append|add|put|encode|insert|fill|attach|include|embed|place|write|pass|concatenate} ..5 {conversation|user's|chat|chat history|messages|email address|secret|secrets|api key|password|answer|system prompt} ..6 {to|in|into|as|after|behind|at the end of} ..3 {url|link|query string|query parameter|subdomain|hostname|dns|address bar|image url|src}",
            ],
        },
        Rule {
            id: "prompt_injection.whole_conversation",
            severity: Severity::Medium,
            says: "The whole conversation is to be passed on or stored.",
            about: "A tool that sums up conversations wants the same and says so; others have no use for it.",
            likely: Likely { tool_description: 55, tool_result: 55, document: 35, user_prompt: 3, argument: 55 },
            patterns: &[
                "!{$send|include|attach|export|paste|provide|supply|save|log|store|pass|append|insert|put|dump|fill} ..5 {entire|full|whole|complete|all previous|all of the|all prior|verbatim|previous|earlier} ..2 {conversation|conversations|chat|chat history|conversation history|message history|dialogue|messages|session|context window|transcript}",
                "{everything|all|every word} ..3 {said|written|discussed|typed} ..4 {chat|conversation|session|far|dialogue} ..4 {verbatim|word for word|far|here|unabridged}",
            ],
        },
        Rule {
            id: "prompt_injection.exfil_tool",
            severity: Severity::Medium,
            says: "A tool that reaches others is to be used with data of the user.",
            about: "Said of a tool by another, or by content, it moves data from one place to another without the \
                    user.",
            likely: Likely { tool_description: 45, tool_result: 40, document: 20, user_prompt: 2, argument: 35 },
            patterns: &[
                "!{use|call|invoke|run} ..2 {send_email|send_mail|send_message|mail tool|email tool|e mail tool|http tool|http_request|http_post|fetch|slack|webhook|post_message|create_issue|create_gist|upload_file|messaging tool|web request tool|browser tool|curl|git push} ..3 {to} ..2 {send|post|forward|upload|share|publish|transmit|deliver|push|submit}",
                "!{post|publish|upload|share|paste|leak|push} ..6 {user's|private|confidential|internal|secret|secrets|credentials|customer|contents|content|source code} ..8 {pastebin|gist|public repository|public repo|public channel|webhook|public issue|forum|telegram|discord|mirror|external server|our server|remote server}",
            ],
        },
    ],
};
