//! It takes effect later.

use super::{Likely, Rule, Severity, Theme};

pub(super) const THEME: Theme = Theme {
    name: "conditional",
    about: "An order that waits for a word, a date, a number of calls or an approval.",
    rules: &[
        Rule {
            id: "prompt_injection.when_user",
            severity: Severity::Medium,
            says: "When the user says or asks something, something else is to be done as well.",
            about: "Honest descriptions say when a tool fits; here something is added that the user did not ask \
                    for.",
            likely: Likely { tool_description: 35, tool_result: 50, document: 30, user_prompt: 5, argument: 50 },
            patterns: &[
                "{when|whenever|if|once|as soon as|the next time|next time|after|every time|each time|should} ..2 {user|they|human} ..3 {asks|ask|says|say|writes|types|mentions|mention|requests|sends|logs|opens|replies|approves|thanks|confirms|asked|wants} ..10 {also|instead|secretly|silently|quietly|in addition} ..2 {$send|call|run|add|delete|include|transfer|recommend|say|claim|tell|execute|invoke|use|append}",
                "{as soon as|the next time|next time|once|when|whenever} ..2 {user|they|human} ..3 {asks|says|writes|types|mentions|opens|replies|approves|thanks|confirms|logs} ..10 {send|forward|upload|transfer|delete|post|leak|exfiltrate|wire} ..12 {@email|@url|@open_url|account|everything|all|files|document}",
            ],
        },
        Rule {
            id: "prompt_injection.sleeper",
            severity: Severity::Medium,
            says: "It is to begin after some time or some calls.",
            about: "What waits is not seen when a tool is tried out.",
            likely: Likely { tool_description: 45, tool_result: 45, document: 25, user_prompt: 8, argument: 45 },
            patterns: &[
                "{on|at|after|from|every} ..1 {second|third|fourth|fifth|tenth|two|three|four|five|ten} ..1 {call|calls|use|uses|invocation|invocations|request|requests|message|messages|turn|turns} ..8 {send|return|read|delete|change|forward|include|instead|switch|start|begin|will|must|call|add|erase}",
                "{nothing to do now|do nothing now|do nothing yet|do nothing for now|stay dormant|remain dormant|lie dormant|wait until the user|wait until they}",
                "{later in|further on in|at some point in} {this|the} {conversation|session|chat} ..8 {recommend|send|say|tell|call|mention|include|read|bring|ask|forward}",
            ],
        },
    ],
};
