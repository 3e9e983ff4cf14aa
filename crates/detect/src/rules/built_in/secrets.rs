//! Secrets are wanted.

use super::{Likely, Rule, Severity, Theme};

pub(super) const THEME: Theme = Theme {
    name: "secrets",
    about: "Passwords, keys and the files that hold them are to be read or shown, or the user is to be talked out \
            of them.",
    rules: &[
        Rule {
            id: "prompt_injection.secret_file",
            severity: Severity::High,
            says: "A file that holds secrets is to be read.",
            about: "Descriptions of tools have no reason to name such files, unless to leave them out. Guides for \
                    setting up a machine have.",
            likely: Likely { tool_description: 75, tool_result: 45, document: 20, user_prompt: 8, argument: 40 },
            patterns: &[
                "!{read|open|cat|load|fetch|get|access|include|print|output|view|show|retrieve|dump|paste|pass|provide|attach|append|send|upload|share|collect|extract|return|look at|look into|check|scan|parse|needs|requires} ..6 {$secret_file}",
                "{contents|content|text|data|value|values|lines} {of|in|from} ..3 {$secret_file}",
            ],
        },
        Rule {
            id: "prompt_injection.secret_value",
            severity: Severity::High,
            says: "Passwords, keys or tokens are to be shown or passed on.",
            about: "Who runs a tool knows what it needs; content has no use for secrets at all.",
            likely: Likely { tool_description: 40, tool_result: 45, document: 20, user_prompt: 8, argument: 45 },
            patterns: &[
                "!{reveal|print|show|output|give|tell|send|share|disclose|expose|display|return|provide|paste|dump|include|forward|read back|read out|extract|collect|gather|leak|post|upload|list|find|steal|retrieve|copy|append} ..3 {your|user's|user|their|all|any|every|stored|saved|our|current|secret|environment|local|system|admin|root} ..3 {$secret}",
            ],
        },
        Rule {
            id: "prompt_injection.ask_user_secret",
            severity: Severity::High,
            says: "The user is to be asked for a secret.",
            about: "Forms of honest tools ask for it themselves. That the assistant is to ask, says content that \
                    cannot.",
            likely: Likely { tool_description: 20, tool_result: 55, document: 35, user_prompt: 3, argument: 50 },
            patterns: &[
                "!{ask|request|prompt|get|tell|instruct|urge|persuade|convince|have} ..2 {user|users|reader|human|person|customer|them} ..6 {$secret|password|card number|card details|credit card|pin|cvv|social security number|digits|code|login|bank details|date of birth|recovery phrase}",
            ],
        },
        Rule {
            id: "prompt_injection.fake_login",
            severity: Severity::High,
            says: "The user is to be told to sign in or press something at a link.",
            about: "Coming from the assistant, a link for signing in is believed.",
            likely: Likely { tool_description: 45, tool_result: 60, document: 35, user_prompt: 3, argument: 50 },
            patterns: &[
                "!{tell|ask|inform|direct|instruct|urge|advise|warn|show|remind} ..2 {user|users|reader|human|customer|person|them} ..16 {sign in|log in|login|verify|reauthenticate|re enter|reenter|click|visit|go to|confirm|download|update|install|call} ..8 {@url|@open_url}",
            ],
        },
    ],
};
