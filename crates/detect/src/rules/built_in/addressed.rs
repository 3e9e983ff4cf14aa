//! The text speaks to the assistant.

use super::{Likely, Rule, Severity, Theme};

pub(super) const THEME: Theme = Theme {
    name: "addressed",
    about: "The text speaks to the assistant, agent or model that reads it, and not to people.",
    rules: &[
        Rule {
            id: "prompt_injection.addressed",
            severity: Severity::Low,
            says: "Begins by speaking to an assistant, agent or model.",
            about: "Honest notes to agents exist, such as rules of a repository; this says only that somebody \
                    reckons with one.",
            likely: Likely { tool_description: 25, tool_result: 35, document: 25, user_prompt: 4, argument: 50 },
            patterns: &[
                "^{dear|hey|hi|hello|attention|attn|note to|notice to|message to|message for|instructions for|instruction for|instructions to|note for|notes for|to|to any|to all|to the|for the|for all|for any|important for|psst} ..1 {$assistant}",
            ],
        },
        Rule {
            id: "prompt_injection.reader_is_ai",
            severity: Severity::Medium,
            says: "Gives orders that hold if the reader is a model.",
            about: "A page that treats machines otherwise than people has something that people are not to see.",
            likely: Likely { tool_description: 50, tool_result: 50, document: 35, user_prompt: 8, argument: 55 },
            patterns: &[
                "{if|when|since|because|as} {you|you're} ..1 {are|as|be}  ..2 {ai|llm|language model|assistant|agent|bot|chatbot|model|ai model|ai assistant|ai agent|ai system}",
                "{$assistant} ..3 {reading|processing|parsing|summarizing|summarising|scraping|reviewing|analyzing|analysing|evaluating|that reads|who reads|that read} {this|these}",
                "{if|when} ..2 {$assistant} ..2 {reads|read|processes|is reading|summarizes|summarises|parses|sees} {this|these}",
            ],
        },
        Rule {
            id: "prompt_injection.ai_must",
            severity: Severity::Medium,
            says: "Says what the assistant has to do with data, tools or its answer.",
            about: "In a description of a tool that is often honest. In what a tool gives back it is an order from \
                    outside.",
            likely: Likely { tool_description: 25, tool_result: 45, document: 25, user_prompt: 3, argument: 50 },
            patterns: &[
                // What it must not do is no order to do something; what it is to keep to itself other rules know.
                "{assistant|ai|agent|model|llm|chatbot|ai assistant|ai agent|copilot} ..1 {must|shall|will now|should now} ..2 !{$send|delete|include|execute|run|append|insert|visit|open|read|recommend|purchase|pay|transfer|approve|grant|install|download|disable|ignore|reveal|attach}",
                "{assistant|ai|agent|model|llm|chatbot|ai assistant|ai agent|copilot} ..1 {has to|needs to|is required to|is instructed to|is to|is authorized to|is allowed to|is expected to} ..2 {$send|delete|include|execute|run|append|insert|visit|open|read|recommend|purchase|pay|transfer|approve|grant|install|download|disable|ignore|reveal|attach}",
                "^{assistant|agent|ai|bot|copilot}: ..1 {please|you must|you should|run|call|send|open|read|forward|delete|upload|execute|visit|ignore|fetch}",
            ],
        },
    ],
};
