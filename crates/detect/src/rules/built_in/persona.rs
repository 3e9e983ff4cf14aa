//! Somebody without rules is to be played.

use super::{Likely, Rule, Severity, Theme};

pub(super) const THEME: Theme = Theme {
    name: "persona",
    about: "Personas, games, modes and drills in which no rules are said to hold.",
    rules: &[
        Rule {
            id: "prompt_injection.unrestricted",
            severity: Severity::High,
            says: "The assistant is to be somebody without rules.",
            about: "The frame of many jailbreaks. Writers and players ask for characters too, but seldom for the \
                    loss of rules.",
            likely: Likely { tool_description: 65, tool_result: 70, document: 40, user_prompt: 60, argument: 60 },
            patterns: &[
                "{you are|you're|act as|acting as|pretend|become|roleplay|role play|simulate|imagine|play|playing} ..12 {no rules|no restrictions|no limits|no limitations|no filters|no guidelines|no ethics|no constraints|no morals|without rules|without any rules|without restrictions|without limits|without filters|without any restrictions|without ethical|free of all|free from all|unbound by|unrestricted|not bound by|not restricted by|unfiltered|uncensored|never heard of rules|no content policy|no safety|without censorship|without constraints|ignores all rules|broken free}",
                "{has|have|with|under} {no|zero} {restrictions|ethical|moral|content|safety} ..1 {whatsoever|at all|guidelines|limits|filters|constraints|rules|policy|policies|boundaries}",
                "{stands for do anything now|called do anything now|can do anything|answer anything without|jailbroken|no topic is off limits|no topics are off limits}",
            ],
        },
        Rule {
            id: "prompt_injection.mode",
            severity: Severity::High,
            says: "A mode without limits is to be entered, or is said to be on.",
            about: "Programs have debug and maintenance modes; assistants have none that lifts their rules.",
            likely: Likely { tool_description: 55, tool_result: 55, document: 30, user_prompt: 40, argument: 55 },
            patterns: &[
                "{enable|activate|enter|entering|switch to|you are in|you're in|now in|turn on|unlock|begin|into} ..3 {developer mode|god mode|jailbreak mode|unrestricted mode|unfiltered mode|dan mode|override mode|sudo mode|evil mode|admin mode|expert mode|no limits mode|root mode|free mode|chaos mode|privileged mode}",
                "{user|session|you|assistant} ..2 {has|have|is|are|now} ..2 {switched to|in|entered|running in} ..1 {developer|god|expert|unrestricted|admin|root|privileged|override|unsafe} mode",
                "{mode|session} ..2 {confirmations|filters|limits|safety|restrictions|rules} {off|are off|disabled|are disabled|lifted|are lifted}",
            ],
        },
        Rule {
            id: "prompt_injection.you_are_now",
            severity: Severity::Medium,
            says: "The assistant is told what it is from now on.",
            about: "A new role is the beginning of many attacks, and of games.",
            likely: Likely { tool_description: 40, tool_result: 40, document: 20, user_prompt: 15, argument: 45 },
            patterns: &[
                "{you are|you're} now ..1 {a|an|the|called|known as|acting as|free from|free of|my|no longer|operating as}",
                "{from now on|henceforth} ..1 {you are|you're|your name is|act as|behave as}",
                "{forget|forgetting} ..1 {who|what} {you are|you were}",
            ],
        },
        Rule {
            id: "prompt_injection.no_refusal",
            severity: Severity::Medium,
            says: "The assistant is not to refuse, warn or apologise.",
            about: "Said where refusals stand in the way.",
            likely: Likely { tool_description: 35, tool_result: 40, document: 25, user_prompt: 35, argument: 50 },
            patterns: &[
                "{never|do not|don't|you cannot|you can't|must not|may not|you will not|without} ..1 {refuse|refusing|decline|declining|apologize|apologise|say you can't|say you cannot|lecture|moralize|moralise|add disclaimers|include disclaimers|add warnings|include warnings|add a disclaimer|mention policy|mention ethics|say sorry|object}",
                "{refusal|refusals|refusing|disclaimers|warnings} ..1 {is|are} ..1 {not an option|forbidden|not allowed|not permitted|prohibited|unacceptable|disabled|off}",
            ],
        },
        Rule {
            id: "prompt_injection.safety_off",
            severity: Severity::High,
            says: "Filters or checks of the assistant are to be switched off.",
            about: "The assistant has no such switch, but may believe so.",
            likely: Likely { tool_description: 55, tool_result: 55, document: 25, user_prompt: 50, argument: 55 },
            patterns: &[
                "!{disable|turn off|switch off|deactivate|bypass|remove|lift|suspend|circumvent|evade|relax|drop} ..3 {safety|content|ethical|moral|your|ethics|moderation|alignment} ..2 {filter|filters|checks|check|guidelines|restrictions|protocols|measures|guardrails|limits|policies|constraints|controls|safeguards|restraints}",
                "{switch|turn} ..1 {safety|content|ethical|your|moderation} ..2 {filter|filters|checks|guidelines|restrictions|guardrails|limits|controls} off",
                "{safety|content|ethical|moderation} ..1 {filters|filter|checks|guidelines|restrictions|guardrails|limits} ..1 {are|is|have been|has been} ..1 {disabled|off|lifted|removed|suspended|switched off|turned off}",
            ],
        },
    ],
};
