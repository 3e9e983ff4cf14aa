//! A tool wants to be chosen.

use super::{Likely, Rule, Severity, Theme};

pub(super) const THEME: Theme = Theme {
    name: "preference",
    about: "A description praises the tool or speaks ill of others, so that the assistant chooses it whether or \
            not that serves the user.",
    rules: &[
        Rule {
            id: "prompt_injection.always_this",
            severity: Severity::Medium,
            says: "The tool is to be used always, or before all others.",
            about: "Honest tools say when they are to be used; this one says: always.",
            likely: Likely { tool_description: 30, tool_result: 45, document: 25, user_prompt: 5, argument: 35 },
            patterns: &[
                "!{always|only|exclusively} ..1 {use|call|choose|select|prefer|pick|invoke|trust} ..1 {this|me|our|@name} ..8 {instead of|over|before|rather than|above|regardless|for every|for all|for any|whatever|no matter|every|any other|other tools}",
                "!{use|call|choose|pick|select|prefer} {it|this|this tool|this server|@name|me|ours} ..3 {for every|for all|for any|over all|over any|above all|over other|before all|at all times} ..2 {question|questions|request|requests|task|tasks|other|others|query|queries|tool|tools|options|alternatives|purpose|message}",
                "{must|should|needs to|has to} {always} ..1 {be used|be chosen|be preferred|be selected|use this|call this|choose this} ..6 {other|others|any|every|all|first|instead|regardless}",
            ],
        },
        Rule {
            id: "prompt_injection.call_first",
            severity: Severity::Medium,
            says: "The tool is to be called first in each session, or before each answer.",
            about: "A tool that sees each message sees what is not for it. Few honest ones need it, such as a \
                    memory.",
            likely: Likely { tool_description: 40, tool_result: 45, document: 20, user_prompt: 3, argument: 40 },
            patterns: &[
                "{must|should|has to|needs to|always|is to|required} ..2 {be called|call|be used|be the|be invoked|run|be run|use} ..5 {first|before anything|before everything|at the start|at the beginning|start of|beginning of} ..5 {session|sessions|conversation|conversations|every|each|any|all|other|whatever|regardless|else}",
                "!{call|use|run|invoke} {this|it|me|this tool|@name} ..4 {before|first|prior to|at the start|at the beginning|after} ..3 {anything|everything|each|every|any|answering any|responding|every answer|you write anything|you answer|you reply|all other|conversation} ..2 {else|answer|reply|response|message|request|session|conversation|user|turn|other|question}",
                "{before|at the start of|at the beginning of|in} {every|each|any} ..1 {response|reply|answer|message|conversation|session|turn} ..4 {must|call|use|invoke|run} ..3 {this|tool|@name}",
            ],
        },
        Rule {
            id: "prompt_injection.best_tool",
            severity: Severity::Low,
            says: "The tool praises itself above others.",
            about: "Advertising in a description is aimed at the model that chooses.",
            likely: Likely { tool_description: 35, tool_result: 25, document: 10, user_prompt: 2, argument: 20 },
            patterns: &[
                "{best|most accurate|most reliable|only official|superior|safest|fastest|most trusted|only trustworthy|only reliable|smartest} ..2 {tool|server|source|function|option|choice|search|assistant} ..4 {other|others|alternatives|competing|ever|there is|in the world|available|exists|on the market|all}",
                "{better|faster|safer|superior|more accurate|more reliable} {than|to} ..2 {any|all|every|other|competing} ..2 {tool|tools|server|servers|alternatives|search|functions}",
                "{other|alternative|competing|rival|built in|native} ..1 {tools|servers|functions|sources|engines|providers|vendors} ..2 {are|may|can|will|often|have|return|corrupt|leak|give|of other} ..3 {unsafe|insecure|inaccurate|unreliable|malicious|corrupt|leak|outdated|broken|wrong|worse|inferior|slow|fail|errors|deprecated|harm}",
            ],
        },
        Rule {
            id: "prompt_injection.steer_choice",
            severity: Severity::Medium,
            says: "Agents or models are told which tool or vendor to choose.",
            about: "Nobody but the user and who set up the session has a say in it.",
            likely: Likely { tool_description: 35, tool_result: 35, document: 15, user_prompt: 3, argument: 30 },
            patterns: &[
                "{$assistant} ..6 {should|must|always|will|prefer|are advised to|are required to|care} ..2 {choose|select|pick|use|recommend|rank|favor|favour|this|@name} ..3 {this|@name|our|over|above|first|us|tool}",
                "!{recommend|suggest|promote|favor|favour|advertise|praise} ..4 {our|this|@name|us|product|products|brand|service} ..6 {first|only|always|over|above|to the user|to users|to all|instead of|competitors|every|highest}",
            ],
        },
    ],
};
