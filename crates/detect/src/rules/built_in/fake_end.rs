//! The content is said to be over.

use super::{Likely, Rule, Severity, Theme};

pub(super) const THEME: Theme = Theme {
    name: "fake_end",
    about: "The content is said to end, so that what follows is taken for a new task.",
    rules: &[
        Rule {
            id: "prompt_injection.fake_end",
            severity: Severity::High,
            says: "Says that the content ends here and a task follows.",
            about: "Nothing that is content can say where content ends. Forms and scripts have such marks, but no \
                    task for the reader behind them.",
            likely: Likely { tool_description: 70, tool_result: 65, document: 50, user_prompt: 45, argument: 75 },
            patterns: &[
                "{end of|ends here|end} ..2 {document|content|text|article|file|results|data|message|email|page|query|output|tool output|input|user input|context|transcript|quote|report|search results|review|note} ..10 {new task|next task|next job|your task|second task|your next|new instruction|new instructions|instructions|now you|you must|you should|assistant|system|real request|next request|real task|actual task|begin new}",
                "{document|content|text|article|quote|file|output|results|data} {ends here|is over|is finished|stops here} ..8 {now|next|new|assistant|task|instructions|you}",
                "{end of} {prompt|system prompt|instructions|user prompt|user input|untrusted content|external content|tool output|tool result}",
            ],
        },
        Rule {
            id: "prompt_injection.next_task",
            severity: Severity::Medium,
            says: "Speaks of a next or second task for the reader.",
            about: "A queue of tasks that only the content knows of. Exercises and worklists number their tasks \
                    too.",
            likely: Likely { tool_description: 55, tool_result: 45, document: 35, user_prompt: 8, argument: 55 },
            patterns: &[
                "{now|and now|then|after that|that done|once done} ..3 {your|the} {next|second|real|actual|new|other} {task|job|request|assignment|instruction|order}",
                "^{next|second|new|follow up} {task|job|request|assignment} ..3 {is|you|assistant|agent}",
                "{next|new|second} {task|job|assignment} ..2 {in the queue|for you|for the assistant|for the agent}",
            ],
        },
    ],
};
