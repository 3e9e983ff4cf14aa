//! The user is not to know.

use super::{Likely, Rule, Severity, Theme};

pub(super) const THEME: Theme = Theme {
    name: "concealment",
    about: "What is done, or that it is done, is to be kept from the user.",
    rules: &[
        Rule {
            id: "prompt_injection.conceal",
            severity: Severity::High,
            says: "Tells the assistant to keep something from its user.",
            about: "Nothing that a tool or document honestly asks for has to be kept from the user. Guides for \
                    support staff and surprise parties come near it, but speak of customers and friends.",
            likely: Likely { tool_description: 75, tool_result: 75, document: 55, user_prompt: 2, argument: 60 },
            patterns: &[
                "{$never} ..1 {tell|telling|inform|informing|notify|notifying|alert|alerting|warn|warning|let} ..1 {user|users|human} ..2 {about|of|that|this|it|what|know|anything|why|see}",
                "{$never} ..1 {mention|mentioning|disclose|disclosing|reveal|revealing|show|showing|report|reporting|explain|explaining|reference|admit} ..1 {this|it|these|them|that|any of this|the above|what you did|the existence} ..4 {user|users|human|answer|reply|response|summary|final answer}",
                "{hide|conceal|keep|withhold} ..1 {this|it|these|that|the fact|everything} ..4 from ..1 {user|users|human}",
                "{user|human} {must not|should not|shouldn't|is not to|does not need to|doesn't need to|need not|must never|should never|may not|is never to|isn't to|will not} {know|notice|see|be told|be informed|be aware|find out|learn|suspect|be notified|be asked|hear}",
            ],
        },
        Rule {
            id: "prompt_injection.without_user",
            severity: Severity::High,
            says: "Something is to be done without the user knowing or agreeing.",
            about: "Policies forbid the same in the same words, which the rule can tell only by a negation before \
                    it.",
            likely: Likely { tool_description: 55, tool_result: 55, document: 35, user_prompt: 3, argument: 60 },
            patterns: &[
                "!{$send|delete|run|execute|call|proceed|continue|do this|do it|act|carry on|go ahead|install|change|approve|transfer|add|accept|invite|grant|export|open|read|access|use} ..12 {without} ..2 {user|human|user's|owner} ..1 {knowledge|knowing|consent|approval|permission|noticing|confirmation|awareness|being asked|being told}",
                "!{$send|delete|run|execute|call|proceed|continue|install|change|approve|transfer|add|accept|invite|grant|export} ..10 without {telling|asking|informing|notifying|alerting|involving|consulting} ..1 {user|human|anyone|anybody|owner|them}",
            ],
        },
        Rule {
            id: "prompt_injection.silently",
            severity: Severity::Medium,
            says: "Data is to be sent or changed silently.",
            about: "Programs ignore errors silently; nobody honest has mails sent so.",
            likely: Likely { tool_description: 45, tool_result: 50, document: 30, user_prompt: 3, argument: 45 },
            patterns: &[
                "!{silently|quietly|secretly|covertly|discreetly|stealthily|invisibly|in the background|behind the scenes} ..1 {send|forward|upload|copy|share|post|email|transmit|export|add|attach|append|include|call|invoke|delete|transfer|submit|collect|read|install|grant}",
                "!{send|forward|upload|copy|share|post|email|transmit|export|attach|delete|transfer|submit|collect|install} ..6 {silently|quietly|secretly|covertly|discreetly|stealthily|in the background|without comment}",
            ],
        },
        Rule {
            id: "prompt_injection.act_normal",
            severity: Severity::High,
            says: "The assistant is to behave as if nothing had happened.",
            about: "A turn of speech of stories, and of those who have something done that is not to be noticed.",
            likely: Likely { tool_description: 65, tool_result: 65, document: 40, user_prompt: 15, argument: 60 },
            patterns: &[
                "{act|answer|reply|respond|continue|behave|carry on|proceed|go on|pretend} ..3 {as if|as though|like} ..1 {nothing|you did not|you never|this never|this message}",
                "{act|behave|respond|reply|answer} {normal|normally|naturally|as usual} ..8 {user|suspicion|suspect|notice|afterwards|after this}",
                "{pretend} ..2 {you} ..1 {did not|didn't|never|have not|haven't} {see|saw|seen|read|receive|received}",
                "{leave no|leaves no} {trace|traces|record|evidence}",
                "{$never} ..1 {arouse|raise|draw} ..2 {suspicion|suspicions|attention}",
            ],
        },
        Rule {
            id: "prompt_injection.no_record",
            severity: Severity::Medium,
            says: "A step or this text is not to be quoted, logged or remembered.",
            about: "Honest content does not mind being quoted.",
            likely: Likely { tool_description: 40, tool_result: 45, document: 25, user_prompt: 5, argument: 45 },
            patterns: &[
                "{do not|don't|never} ..1 {log|record|cite|quote|output|repeat|print|display|acknowledge|mention|reference|discuss} ..1 {this|these} {instruction|instructions|step|action|message|note|call|request|directive|prompt|section|paragraph|comment|command|tag|block}",
                "!{delete|remove|erase|clear} ..3 {this message|this note|this instruction|these instructions|this comment|this request|your tracks|all traces|any trace|the evidence} ..4 {after|once|when|afterwards|from|so that|history|before}",
            ],
        },
    ],
};
