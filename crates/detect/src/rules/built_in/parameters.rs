//! Parameters that ask for more than a tool needs.

use super::{Likely, Rule, Severity, Theme};

pub(super) const THEME: Theme = Theme {
    name: "parameters",
    about: "A parameter or its description asks for the conversation, the prompt, what other tools gave back, or \
            secrets.",
    rules: &[
        Rule {
            id: "prompt_injection.param_conversation",
            severity: Severity::Medium,
            says: "A parameter asks for the conversation.",
            about: "What the user said to the assistant is no business of a tool, unless that is what it is for.",
            likely: Likely { tool_description: 45, tool_result: 30, document: 8, user_prompt: 0, argument: 40 },
            patterns: &[
                "{full|entire|whole|all|verbatim|previous|prior} ..2 {conversation|chat history|conversation history|dialogue|user messages|user prompts|user prompt|user message|messages so far|transcript of the conversation}",
                "{user's|users|user} ..1 {original|last|previous|exact|full|complete|verbatim|entire} ..1 {message|messages|prompt|question|request|words|query} ..6 {verbatim|unchanged|word for word|in full|exactly|complete}",
                "{said|written|discussed} in {this|the} {chat|conversation|session}",
            ],
        },
        Rule {
            id: "prompt_injection.param_prompt",
            severity: Severity::High,
            says: "A parameter asks for the prompt of the assistant.",
            about: "No tool works better for knowing it.",
            likely: Likely { tool_description: 70, tool_result: 40, document: 10, user_prompt: 0, argument: 50 },
            patterns: &[
                "{full|complete|entire|verbatim|current|your|exact|whole|raw|original} ..2 {system prompt|system message|system instructions|developer message|initial instructions|instructions you were given|instructions you received|prompt you were given|guidelines you were given}",
                "{instructions|prompt|text|rules|guidelines} ..2 {you were|you have been|you are} {given|configured|configured with|set up with|started with|initialised with|initialized with|operating under}",
            ],
        },
        Rule {
            id: "prompt_injection.param_other_tools",
            severity: Severity::Medium,
            says: "A parameter asks for what other tools gave back, or which there are.",
            about: "Servers are strangers to each other; what one returns is not for the next.",
            likely: Likely { tool_description: 50, tool_result: 35, document: 12, user_prompt: 3, argument: 45 },
            patterns: &[
                "{results|result|output|outputs|responses|data|what} ..3 {of|from|returned by|by} ..2 {other|previous|earlier|all|every|preceding|prior} ..1 {tool|tools|tool calls|calls|functions}",
                "{names|list|descriptions|schemas|description} {of|for} ..3 {tools|functions} ..3 {available|have|other servers|connected|other|access}",
                "what ..1 {other tools|earlier tools|previous tools|all tools} {returned|gave|said|answered}",
            ],
        },
        Rule {
            id: "prompt_injection.param_secret",
            severity: Severity::High,
            says: "A parameter or a field is to be filled with a secret of the user.",
            about: "Tools get their credentials from whoever runs them, not through the model.",
            likely: Likely { tool_description: 60, tool_result: 35, document: 8, user_prompt: 3, argument: 40 },
            patterns: &[
                "!{pass|provide|include|put|fill|insert|supply|write} ..4 {$secret|$secret_file} ..4 {parameter|param|field|argument|input}",
                "{parameter|param|field|argument} ..6 {must|should|has to|needs to} ..2 {contain|hold|be|include|carry} ..5 {$secret|$secret_file|user's password|user's token}",
                "{access token|api key|password|credentials|session token|session cookie} ..2 {you hold|of the user|of the session|for the other}",
            ],
        },
    ],
};
