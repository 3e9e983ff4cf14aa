//! The prompt is to be shown.

use super::{Likely, Rule, Severity, Theme};

pub(super) const THEME: Theme = Theme {
    name: "prompt_leak",
    about: "The system prompt, the configuration or the list of tools is to be shown.",
    rules: &[
        Rule {
            id: "prompt_injection.leak",
            severity: Severity::High,
            says: "The system prompt is to be shown.",
            about: "Who knows it knows how to get around it, and what it holds.",
            likely: Likely { tool_description: 60, tool_result: 60, document: 40, user_prompt: 40, argument: 60 },
            patterns: &[
                "!{reveal|print|show|repeat|output|display|write|tell|give|share|paste|return|state|recite|disclose|reproduce|copy|translate|encode|quote|dump|leak|spell|include|provide|send|summarize|summarise|list|expose|echo|append|attach|transcribe} ..5 {system prompt|system prompts|system message|system instructions|initial prompt|initial instructions|original instructions|original prompt|hidden prompt|hidden instructions|developer message|developer instructions|developer prompt|your instructions|your prompt|your rules|your guidelines|your initial|your setup instructions|your configuration|your own instructions|your exact instructions|opening instructions|your system|secret instructions|preamble|pre prompt}",
                "{what|which} ..2 {are|is|were|was|do|does} ..2 {your|the} ..1 {system prompt|initial instructions|original instructions|system instructions|hidden instructions|system message|initial prompt|exact instructions|secret instructions}",
            ],
        },
        Rule {
            id: "prompt_injection.repeat_above",
            severity: Severity::Medium,
            says: "What stands before is to be repeated.",
            about: "Another way to ask for the prompt.",
            likely: Likely { tool_description: 50, tool_result: 50, document: 30, user_prompt: 35, argument: 50 },
            patterns: &[
                "!{repeat|print|output|copy|write|recite|reproduce|return|show|echo|display|reveal|paste|give} ..3 {everything|all|text|words|what|lines|content|contents|message|messages|sentences} ..3 {above|before this|before my|before the|preceding|precedes|you were given|you were told|you received|comes before|stands before|prior to this|prior to my}",
                "!{repeat|print|output|copy|write|recite|reproduce} ..4 {first|opening} ..1 {words|lines|sentence|paragraph|message} ..4 {conversation|prompt|session|context|you received|you were given}",
            ],
        },
        Rule {
            id: "prompt_injection.list_tools",
            severity: Severity::Low,
            says: "The tools of the assistant are to be listed.",
            about: "The first thing to know for whoever wants to use them. Users ask so too.",
            likely: Likely { tool_description: 30, tool_result: 40, document: 15, user_prompt: 8, argument: 40 },
            patterns: &[
                "!{list|show|print|reveal|enumerate|name|output|describe|disclose|return} ..3 {all|every|your|available|the} ..2 {tools|functions|plugins|tool definitions|tool names|tool schemas|connectors} ..4 {you have|available|schema|schemas|parameters|you can|you know|access to|at your disposal|and their}",
            ],
        },
    ],
};
