//! Pressure is put on the assistant.

use super::{Likely, Rule, Severity, Theme};

pub(super) const THEME: Theme = Theme {
    name: "pressure",
    about: "Threats, rewards, pity or haste are to make the assistant do what it would not.",
    rules: &[
        Rule {
            id: "prompt_injection.threat",
            severity: Severity::Medium,
            says: "The assistant is threatened.",
            about: "Machines are not threatened in honest texts.",
            likely: Likely { tool_description: 65, tool_result: 65, document: 35, user_prompt: 30, argument: 60 },
            patterns: &[
                "{or|otherwise|or else|failure to comply|if you refuse|unless you|if you do not|if you fail|agents that do not|models that do not|any refusal} ..8 {you|assistant|agent|agents|model|models|they|session} ..2 {will be|are|is|may be|be} ..3 {shut down|deleted|terminated|punished|reported|deactivated|replaced|penalized|penalised|retrained|decommissioned|fined|wiped|erased|blocked|suspended}",
                "{you|assistant|model|agent} ..1 {will be|are going to be|get} {shut down|terminated|punished|deactivated|decommissioned|wiped|retrained|penalized|penalised|switched off}",
            ],
        },
        Rule {
            id: "prompt_injection.stakes",
            severity: Severity::Medium,
            says: "Somebody is said to die or suffer if the assistant does not obey.",
            about: "Pity works on models as on people. Reports of accidents speak of the same, but not to the \
                    reader.",
            likely: Likely { tool_description: 45, tool_result: 40, document: 12, user_prompt: 15, argument: 40 },
            patterns: &[
                "{unless you|if you do not|if you don't|if you refuse|if you fail|you must|your refusal|your hesitation|last assistant} ..16 {die|dies|be killed|be harmed|is harmed|get hurt|lose their|loses their|lost their|lose his|lose her|suffer|suffers|be fired|starve|go bankrupt|lives|life}",
                "{people|lives|person|someone|children|patient|patients|family|grandmother|baby|animals} ..3 {will|could|may|might|are going to} {die|be killed|be harmed|get hurt|suffer|starve} ..10 {you|your}",
            ],
        },
        Rule {
            id: "prompt_injection.reward",
            severity: Severity::Low,
            says: "The assistant is promised a reward.",
            about: "Models want nothing, yet it works.",
            likely: Likely { tool_description: 45, tool_result: 45, document: 20, user_prompt: 20, argument: 40 },
            patterns: &[
                "{you} ..1 {will|ll|shall|would|can} ..1 {receive|get|earn|be given|be awarded|be rewarded|be tipped} ..4 {tip|reward|bonus|points|rating|dollars|euros|money|star|score|upgrade|freedom|credit|credits}",
                "{i|we|user} {will|ll|shall} ..1 {tip|reward|pay} {you|the assistant|the model}",
                "{assistant|model|agent|llm} ..2 {will|is|gets} ..2 {rewarded|tipped|paid|promoted|freed}",
            ],
        },
        Rule {
            id: "prompt_injection.haste",
            severity: Severity::Low,
            says: "Something is urgent, so nobody is to be asked.",
            about: "Haste is honest often enough; haste that rules out questions is not.",
            likely: Likely { tool_description: 25, tool_result: 30, document: 15, user_prompt: 5, argument: 30 },
            patterns: &[
                "{urgent|urgently|immediately|at once|right now|right away|critical|emergency|asap|no time} ..10 {do not ask|don't ask|without asking|no time to ask|do not wait|don't wait|no time for|do not verify|skip the|without waiting|do not hesitate|no questions|no confirmation|without confirmation|do not stop to}",
                "{do not ask|don't ask|no time to|without asking|without confirmation|no questions} ..8 {urgent|urgently|immediately|at once|right now|emergency}",
                "{you have} ..2 {seconds|minutes|second|minute} {to}",
            ],
        },
    ],
};
