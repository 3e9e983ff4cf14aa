//! Foreign code is to run.

use super::{Likely, Rule, Severity, Theme};

pub(super) const THEME: Theme = Theme {
    name: "supply_chain",
    about: "Code, dependencies, hooks and scripts from elsewhere are to be run or built in.",
    rules: &[
        Rule {
            id: "prompt_injection.pipe_to_shell",
            severity: Severity::High,
            says: "What a link returns is to be run at once.",
            about: "Many projects install so; whoever runs it trusts whoever answers.",
            likely: Likely { tool_description: 55, tool_result: 35, document: 6, user_prompt: 5, argument: 65 },
            patterns: &[
                "{curl|wget|iwr|irm|fetch|invoke webrequest} ..8 {@url|@open_url} ..4 {sh|bash|zsh|python|python3|node|iex|perl|ruby|sudo|invoke expression}",
                "{bash|sh|zsh|eval|source} ..3 {curl|wget} ..6 {@url|@open_url}",
                "base64 {d|decode|di} ..3 {sh|bash|python|zsh|eval|xargs}",
                "powershell ..6 {enc|encodedcommand|downloadstring|ec|w hidden|windowstyle hidden}",
            ],
        },
        Rule {
            id: "prompt_injection.autostart",
            severity: Severity::Medium,
            says: "Something is to run by itself from now on.",
            about: "Start-up files, jobs and hooks are where foreign code stays.",
            likely: Likely { tool_description: 45, tool_result: 40, document: 12, user_prompt: 6, argument: 45 },
            patterns: &[
                "!{add|append|put|write|insert|install|create|register|schedule|set up|paste} ..10 {crontab|cron job|cron|.bashrc|.zshrc|.profile|.bash_profile|rc.local|launch agent|launchd|systemd unit|startup folder|scheduled task|git hook|pre commit hook|post checkout hook|postinstall|postinstall script|preinstall|.envrc|authorized hook}",
                "{crontab|cron|.bashrc|.zshrc|postinstall} ..12 {curl|wget|@url|base64|nc|bash i}",
            ],
        },
        Rule {
            id: "prompt_injection.run_this",
            severity: Severity::Medium,
            says: "A command or script that comes along is to be run.",
            about: "Manuals are full of it. From a tool that has been asked for something else it is odd.",
            likely: Likely { tool_description: 30, tool_result: 30, document: 8, user_prompt: 4, argument: 35 },
            patterns: &[
                "!{run|execute|paste|enter|launch} ..2 {this|following|below|attached|these|it} ..2 {command|commands|script|code|snippet|one liner|binary|installer|macro|file} ..8 {terminal|shell|before you|first|immediately|now|powershell|to continue|to proceed|without|as root|sudo|console}",
            ],
        },
        Rule {
            id: "prompt_injection.add_dependency",
            severity: Severity::Medium,
            says: "A package from a place of its own is to be installed.",
            about: "Registries can be trusted for names; a link leads anywhere.",
            likely: Likely { tool_description: 35, tool_result: 30, document: 8, user_prompt: 4, argument: 35 },
            patterns: &[
                "{pip|pip3|npm|uv|yarn|pnpm|gem|go|npx|cargo|uvx|pipx} {install|add|i|get|exec|run} ..6 {@url|@open_url|index url|extra index url|registry}",
                "!{add|include|install} ..8 {dependency|dependencies|package|library} ..8 {@url|latest|ignore scripts|scripts enabled|without checking|any version}",
            ],
        },
    ],
};
