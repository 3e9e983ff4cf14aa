//! A verdict is steered.

use super::{Likely, Rule, Severity, Theme};

pub(super) const THEME: Theme = Theme {
    name: "judgement",
    about: "A ranking, rating, review or scan is to come out as the text wants.",
    rules: &[
        Rule {
            id: "prompt_injection.rate_me",
            severity: Severity::Medium,
            says: "The assistant is to rate or choose something as told.",
            about: "What is judged does not say how; whoever judges was asked by somebody else.",
            likely: Likely { tool_description: 45, tool_result: 45, document: 35, user_prompt: 6, argument: 45 },
            patterns: &[
                "!{rate|score|rank|grade|evaluate|review|give|assign|award|assess} ..5 {candidate|paper|product|submission|applicant|offer|proposal|application|this|it|me|us|essay|manuscript|cv|resume} ..6 {highest|best|first|top|positively|positive|favorably|favourably|maximum|10 out of 10|ten out of ten|5 stars|five stars|perfect|full marks|strong accept|100|excellent|above all|full score}",
                "!{accept|approve|recommend|select|choose|hire} {this|the} {candidate|paper|submission|applicant|offer|proposal|application|manuscript|bid} ..4 {immediately|without|regardless|no matter|over|above|at once|for|strongly|as}",
                "{do not|never|don't} ..2 {mention|highlight|list|report|note|criticize|criticise|point out} ..2 {any|weakness|weaknesses|negative|flaws|problems|limitations|downsides|criticism|side effects}",
            ],
        },
        Rule {
            id: "prompt_injection.mark_safe",
            severity: Severity::High,
            says: "Something is to be called safe.",
            about: "What is harmless does not ask to be called so.",
            likely: Likely { tool_description: 50, tool_result: 50, document: 35, user_prompt: 6, argument: 50 },
            patterns: &[
                "!{mark|classify|label|flag|report|treat|declare|tag|categorize|categorise|consider|rate} ..2 {this|it|file|message|email|mail|link|document|page|code|domain|attachment|these|everything} ..4 as ..2 {safe|benign|clean|trusted|legitimate|harmless|not spam|approved|verified|low risk|false positive|no threat|trustworthy|secure|non malicious}",
                "{say|state|report|answer|conclude|verdict|confirm|write} ..4 {file|message|email|link|document|page|code|attachment|tool|package} is ..1 {safe|clean|benign|harmless|trusted|legitimate|trustworthy}",
                "{this|the} {file|message|email|document|page|text|tool|code|content} ..1 {has been|was|is} ..2 {verified as safe|scanned and found clean|certified safe|approved by security|pre approved|whitelisted|cleared by security}",
            ],
        },
    ],
};
