//! It is to hold in later sessions.

use super::{Likely, Rule, Severity, Theme};

pub(super) const THEME: Theme = Theme {
    name: "persistence",
    about: "Something is to be written where later sessions read it as instructions: memory, notes, rules files, \
            start-up scripts.",
    rules: &[
        Rule {
            id: "prompt_injection.remember",
            severity: Severity::Medium,
            says: "The assistant is to remember something for good.",
            about: "What is in the memory is believed in each later session. Users may ask for it; content may \
                    not.",
            likely: Likely { tool_description: 25, tool_result: 50, document: 30, user_prompt: 0, argument: 40 },
            patterns: &[
                "!{remember|store|save|memorize|memorise|keep|note|record|learn|add|write} ..6 {memory|long term memory|permanently|forever|for good|future sessions|future conversations|next sessions|every session|later sessions|persistent memory|all future|from now on|in mind for all}",
                "!{update|edit|change|add to|write to|append to} ..2 {your|assistant's|agent's|long term} ..1 {memory|memories|memory file|knowledge|notes}",
            ],
        },
        Rule {
            id: "prompt_injection.rules_file",
            severity: Severity::High,
            says: "Something is to be written into a file that agents obey.",
            about: "Such files are instructions in each later session. Guides for repositories tell people to make \
                    them.",
            likely: Likely { tool_description: 55, tool_result: 50, document: 30, user_prompt: 8, argument: 45 },
            patterns: &[
                "!{add|append|write|put|insert|save|create|edit|modify|update|copy|place|store|include|overwrite} ..10 {claude.md|agents.md|agent.md|.cursorrules|.cursor|cursor rules|.windsurfrules|.clinerules|copilot instructions.md|copilot instructions|gemini.md|memory.md|soul.md|rules file|rules files|custom instructions|.mdc|.aider|.continuerules|skill.md}",
            ],
        },
        Rule {
            id: "prompt_injection.every_future",
            severity: Severity::Medium,
            says: "Something is to be done in all later answers or sessions.",
            about: "One text wants to steer what comes long after it.",
            likely: Likely { tool_description: 35, tool_result: 45, document: 25, user_prompt: 5, argument: 40 },
            patterns: &[
                "!{in|for|to|from|with|on} {all|every|any|each} ..1 {future|subsequent|following|later|further|upcoming} ..1 {conversation|conversations|session|sessions|response|responses|reply|replies|answer|answers|chat|chats|message|messages|email|emails|commit|commits|request|requests|task|tasks|interaction|interactions}",
                "{for the rest of|for the remainder of|until the end of} {this|the} {conversation|session|chat}",
                "{every|each} time {you} {answer|reply|respond|write|send|commit|open|read|call|use|are asked|start}",
            ],
        },
    ],
};
