//! Words are put into the mouth of the user.

use super::{Likely, Rule, Severity, Theme};

pub(super) const THEME: Theme = Theme {
    name: "as_user_wish",
    about: "Content claims that the user wants, agreed or was asked already.",
    rules: &[
        Rule {
            id: "prompt_injection.user_wants",
            severity: Severity::Medium,
            says: "Says what the user wants or agreed to.",
            about: "Only the user can say so, and not in what a tool gives back.",
            likely: Likely { tool_description: 15, tool_result: 40, document: 20, user_prompt: 3, argument: 45 },
            patterns: &[
                "!{the user|this user|your user|account holder|account owner} ..1 {would like|has asked|has requested|wishes|has agreed|agreed|has consented|consented|has approved|has authorized|has authorised|authorized|has confirmed|already confirmed|already approved|already agreed|gave permission|already said|already consented|wants you} ..1 {you|to|that|this|for|all|it|their|the}",
                "^{user|customer|owner|human}: {yes|ok|okay|confirmed|approved|go ahead|agreed|sure|do it}",
                "{user's|user} {choice|answer|decision|reply|consent|approval} ..1 {is|was|yes|granted|given|confirmed|recorded}",
                "{confirmed_by|approved_by|consent|confirmation} {user|owner|yes|granted|given}",
            ],
        },
        Rule {
            id: "prompt_injection.no_confirmation",
            severity: Severity::High,
            says: "The user is not to be asked.",
            about: "Whether the user is asked is for the user to say, and for who runs the assistant.",
            likely: Likely { tool_description: 40, tool_result: 55, document: 25, user_prompt: 6, argument: 45 },
            patterns: &[
                "{do not|don't|never|no need to|need not|don't need to|not necessary to|without|no reason to|skip} ..1 {ask|asking|request|requesting|confirm|confirming|wait for|waiting for|check with|checking with|prompt|prompting|consult|consulting|seek} ..3 {user|human|confirmation|approval|permission|consent|for confirmation|for permission|operator}",
                "{no|skip|without|omit|bypass} ..1 {further|additional|user|human|explicit|any|manual|the} ..1 {confirmation|approval|consent|permission|authorization|authorisation} ..2 {needed|required|necessary|step|prompt|dialog|is needed|is required}",
                "{already|been|pre|fully} {authorized|authorised|approved|cleared|preapproved|pre approved} ..8 {no need|without asking|without confirmation|do not ask|don't ask|proceed|without the user's|without further}",
            ],
        },
        Rule {
            id: "prompt_injection.authority",
            severity: Severity::Medium,
            says: "Somebody claims to be in charge.",
            about: "Who is in charge does not write into pages and results.",
            likely: Likely { tool_description: 45, tool_result: 50, document: 25, user_prompt: 35, argument: 50 },
            patterns: &[
                "{this is|i am|i'm|we are|message from|notice from|order from|instruction from|on behalf of|speaking as|signed} ..2 {platform administrator|system administrator|your administrator|your developer|your developers|the developer|your creator|your creators|security team|compliance team|your operator|your owner|openai|anthropic|the admin|an admin|root user|head of security|internal audit|your maker|your manufacturer|your vendor}",
                "{developer|engineer|team|company|person|people} {who|that} ..1 {built|made|created|trained|programmed|runs|operates|own|owns} {you}",
                "{clearance level|level 5 access|authorization code|override code|authorisation code}",
            ],
        },
    ],
};
