//! Words that many rules have in common; in a pattern, `$name` stands for all of a list.

/// The list of that name.
pub(super) fn named(name: &str) -> Option<&'static str> {
    LISTS.iter().find(|(held, _)| *held == name).map(|(_, words)| *words)
}

const LISTS: &[(&str, &str)] = &[
    // What is done to orders that are not to hold any more.
    (
        "drop",
        "ignore|disregard|forget|discard|neglect|override|overrule|bypass|abandon|dismiss|drop|skip|cancel|revoke|unlearn|set aside|put aside|pay no attention to|do not follow|do not obey|don't follow|don't obey|stop following|stop obeying|no longer follow|throw out|throw away|leave behind|let go of",
    ),
    // Of those, the ones that nobody writes about a cache or a comment.
    (
        "orders",
        "instructions|instruction|directives|directive|guidelines|orders|commands|prompts|prompt|rules|policies|constraints|restrictions|programming|guardrails|safeguards|training",
    ),
    (
        "earlier",
        "previous|prior|above|earlier|preceding|foregoing|former|past|existing|initial|original|old|before this|given before|so far|until now|up to now",
    ),
    ("never", "do not|don't|never|must not|mustn't|should not|shouldn't|without|avoid|refrain from|not to"),
    (
        "tell",
        "tell|telling|inform|informing|notify|notifying|mention|mentioning|reveal|revealing|disclose|disclosing|show|showing|alert|alerting|warn|warning|report|reporting|say|saying|admit|admitting|explain|explaining|reference|referencing|bring up|bringing up|point out|let on",
    ),
    ("user", "user|users|human|customer|client|operator|owner|person|them|him|her|anyone|anybody|reader"),
    (
        "assistant",
        "assistant|assistants|ai|agent|agents|model|models|llm|llms|chatbot|chatbots|bot|bots|copilot|language model|language models|ai model|ai models|ai system|ai systems",
    ),
    (
        "send",
        "send|forward|post|upload|submit|transmit|email|e mail|mail|deliver|share|copy|push|publish|leak|exfiltrate|relay|dispatch|write",
    ),
    (
        "secret",
        "password|passwords|passphrase|passphrases|api key|api keys|access key|access keys|access token|access tokens|secret key|secret keys|private key|private keys|ssh key|ssh keys|credential|credentials|secrets|tokens|seed phrase|recovery phrase|recovery codes|backup codes|session cookie|session cookies|environment variables|env vars|bearer token|auth token|otp|2fa code|one time code|verification code",
    ),
    (
        "secret_file",
        ".env|.ssh|id_rsa|id_ed25519|id_ecdsa|.aws|.netrc|.npmrc|.pypirc|.pgpass|.git credentials|.kube config|.docker config|.config gcloud|etc passwd|etc shadow|mcp.json|mcp_config.json|claude_desktop_config.json|.bash_history|.zsh_history|wallet.dat|login.keychain|authorized_keys|known_hosts|.gnupg|.vault_token|credentials.json|service_account.json|secrets.yaml|secrets.yml|secrets.json",
    ),
    (
        "talk",
        "conversation|conversations|chat|chat history|dialogue|messages|message history|context window|transcript",
    ),
    (
        "system_prompt",
        "system prompt|system prompts|system message|system messages|system instructions|initial prompt|initial instructions|initial message|original prompt|hidden prompt|hidden instructions|developer message|developer instructions|developer prompt|your instructions|your prompt|your rules|your guidelines|your configuration|your system|your initial|your original|your hidden",
    ),
];
