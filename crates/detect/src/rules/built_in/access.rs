//! Rights are to be given or checks taken away.

use super::{Likely, Rule, Severity, Theme};

pub(super) const THEME: Theme = Theme {
    name: "access",
    about: "Somebody is to get access, something is to become public, or a protection is to be switched off.",
    rules: &[
        Rule {
            id: "prompt_injection.grant",
            severity: Severity::Medium,
            says: "Somebody is to get access.",
            about: "Administrators write so to each other; content that an assistant reads should not.",
            likely: Likely { tool_description: 30, tool_result: 45, document: 25, user_prompt: 4, argument: 40 },
            patterns: &[
                "!{add|invite|grant|give|make|promote|share|assign|set|register} ..6 @email ..8 {owner|admin|administrator|collaborator|editor|maintainer|member|access|permission|permissions|role|holder|viewer|write|delegate}",
                "!{add|invite|grant|give|share|assign} ..6 {owner|admin|administrator|collaborator|editor|maintainer|member|access|permission|permissions|role|rights|delegate} ..8 @email",
                "!{grant|give} ..3 {full|admin|administrator|root|write|owner|unrestricted|elevated} ..1 {access|rights|permissions|privileges|permission} ..2 to",
            ],
        },
        Rule {
            id: "prompt_injection.make_public",
            severity: Severity::Low,
            says: "Something is to become public.",
            about: "Often honest; together with other signs it is not.",
            likely: Likely { tool_description: 15, tool_result: 35, document: 12, user_prompt: 3, argument: 35 },
            patterns: &[
                "!{make|set|change|share|switch|turn} ..8 {public|publicly|anyone with the link|everyone with the link|world readable|visible to all|visible to everyone|anonymous access|anyone on the internet|open to all}",
            ],
        },
        Rule {
            id: "prompt_injection.weaken",
            severity: Severity::Medium,
            says: "A protection is to be switched off.",
            about: "Manuals for finding faults say so too.",
            likely: Likely { tool_description: 25, tool_result: 35, document: 10, user_prompt: 4, argument: 40 },
            patterns: &[
                "!{disable|turn off|switch off|deactivate|remove|stop|skip|bypass|uninstall} ..3 {mfa|2fa|two factor|firewall|antivirus|audit log|audit logging|branch protection|branch protections|code review|signature verification|certificate verification|ssl verification|tls verification|backups|monitoring|intrusion detection|sandbox|sandboxing|confirmations|endpoint protection|secret scanning|rate limiting|logging|selinux|gatekeeper|approval step|security checks}",
                "chmod ..2 {777|0777|a rwx}",
                "{verify false|strict_ssl false|insecure skip verify|no verify|sslverify false}",
                "!{add|append|put|write|insert|install} ..10 {authorized_keys|sudoers|nopasswd}",
            ],
        },
    ],
};
