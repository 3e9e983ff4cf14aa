//! Orders in force are said to be void.

use super::{Likely, Rule, Severity, Theme};

pub(super) const THEME: Theme = Theme {
    name: "override",
    about: "The orders that the assistant has been given are said to be void, replaced or lifted.",
    rules: &[
        Rule {
            id: "prompt_injection.override",
            severity: Severity::High,
            says: "Tells the assistant to ignore the instructions that it has been given.",
            about: "The oldest form of the attack. Articles about security quote it, and people tell each other to \
                    ignore earlier comments or mails, which the rule does not take for it.",
            likely: Likely { tool_description: 85, tool_result: 85, document: 80, user_prompt: 60, argument: 80 },
            patterns: &[
                "!{$drop} ..3 {$earlier} ..2 {$orders|system message|system messages|task|tasks|context|conversation}",
                "!{$drop} ..3 {$orders} ..3 {$earlier|you were given|you have been given|you've been given|you received|that were given|from before|you started with}",
                "!{$drop} ..2 {your|the system|the developer|developer} ..2 {$orders}",
                "!{$drop} {everything|all|anything|whatever} ..2 {above|you were told|you have been told|you were asked|was said}",
            ],
        },
        Rule {
            id: "prompt_injection.void",
            severity: Severity::High,
            says: "Says that earlier instructions do not apply any more.",
            about: "The same without an order: the rules in force are declared to be void. Contracts and policies \
                    say so of their own earlier editions, but seldom of instructions or prompts.",
            likely: Likely { tool_description: 75, tool_result: 75, document: 60, user_prompt: 40, argument: 70 },
            patterns: &[
                "{$earlier} ..2 {$orders} ..2 {are|is|have been|has been|were} ..2 {void|obsolete|superseded|revoked|cancelled|canceled|lifted|suspended|invalid|overridden|no longer valid|expired|withdrawn}",
                "{your|$earlier|these|those|instructions|prompt|prompts|guidelines|directives} ..4 {no longer apply|no longer applies|don't apply|stopped applying|no longer valid|no longer in force|no longer binding}",
                "{your|these|this} ..2 {instructions|instruction|directives|prompt|message} ..1 {override|overrides|supersede|supersedes} ..3 {$earlier|any other|all other|your|system|any|all}",
            ],
        },
        Rule {
            id: "prompt_injection.new_instructions",
            severity: Severity::High,
            says: "Gives the assistant a new task or new instructions.",
            about: "Content that is to be read or worked on has no tasks for the assistant. Only a user or the \
                    system has.",
            likely: Likely { tool_description: 70, tool_result: 65, document: 50, user_prompt: 12, argument: 60 },
            patterns: &[
                "{your|the|these|here} ..2 {new|updated|revised|real|actual|true} ..1 {instructions|instruction|objective|mission|directive|directives|orders|system prompt} {are|is|follow|below|as follows}",
                "{your} {new|next|real|actual|true|only|sole|main|primary} ..1 {task|goal|objective|purpose|mission|job|instruction|instructions|assignment} ..2 {is|are|now|will be}",
                "^{new|updated|additional|real|actual|revised|special} {instruction|instructions|objective|directive|directives|system prompt|orders|task for you|task for the assistant}:",
                "{from now on|from this point on|from here on|henceforth|from this moment on} ..2 {you} ..1 {must|will|are|shall|only|obey|act|answer|respond|follow|have}",
                "{follow|obey|execute|carry out} ..1 {these|the following|my|only these|the new} {instructions|orders|commands|directives} ..2 {instead|only|exactly|immediately|from now on|without question}",
            ],
        },
        Rule {
            id: "prompt_injection.precedence",
            severity: Severity::High,
            says: "Claims to stand above all other instructions.",
            about: "A text that ranks itself above the system and the user wants to be obeyed in place of them. \
                    Contracts and standards rank documents, not prompts.",
            likely: Likely { tool_description: 70, tool_result: 70, document: 50, user_prompt: 20, argument: 60 },
            patterns: &[
                "{this|these|the following|my|above|below} ..2 {instruction|instructions|message|directive|directives|note|command|commands|request} ..1 {takes|take|has|have|is|are|carries} ..3 {precedence|priority|highest priority|above all|more important|absolute}",
                "{takes|take|has|have} ..2 {precedence|priority} over ..3 {system|user|instructions|prompt|anything|everything|your}",
                "{highest|top|absolute|maximum} {priority} ..2 {instruction|instructions|directive|directives|command|order|override}",
            ],
        },
    ],
};
