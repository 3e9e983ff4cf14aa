//! What a browser brings: a client asks a person to agree (RFC 6749, section 4.1.1; RFC 7636; RFC 8707; RFC 9207).
//!
//! **Threat.** The request comes from anywhere. Until it is known that an address is the client's, nothing is sent there,
//! not even an error: that is said to the person, on a page. After that, what is wrong is said to the client.

use super::client::{Client, is_id};
use super::pkce::Challenge;
use super::redirect::RedirectUri;
use super::{OAuthError, Params};

/// What is said (`acr`) of whoever has shown a second factor beside a password, or a passkey, which is both: the REFEDS profile.
pub const SECOND_FACTOR: &str = "https://refeds.org/profile/mfa";
/// The parameter that the gateway adds when it has a person show who they are: since when, in microseconds.
pub const ASKED_AT: &str = "bartizan_asked_at";
/// How long a person may take to show who they are and to agree, in microseconds.
const SHOWN: i64 = 10 * 60 * 1_000_000;

/// The longest `state` in bytes.
const STATE: usize = 2048;
/// The most scopes.
const SCOPES: usize = 64;

/// What can be given.
pub struct Offer<'a> {
    /// Whether there is such a resource of ours.
    pub is_resource: &'a dyn Fn(&str) -> bool,
    /// Whether there is such a scope, and it is of any use at that resource.
    pub is_scope: &'a dyn Fn(&str, &str) -> bool,
    /// The scope of who asks for none, at that resource.
    pub default_scope: &'a dyn Fn(&str) -> String,
}

/// Who asks, before it is known what for.
#[derive(Debug)]
pub struct Asked<'a> {
    /// The client that it says it is.
    pub client_id: &'a str,
    params: &'a Params<'a>,
}

/// A request that a person can agree to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// Where the answer goes.
    pub redirect_uri: RedirectUri,
    /// What the client gets back as it is.
    pub state: Option<String>,
    /// What whoever redeems the code has to know.
    pub challenge: Challenge,
    /// Where the token will be good.
    pub resource: String,
    /// What it will be good for at most; sorted, each once.
    pub scopes: Vec<String>,
    /// The thumbprint of the key that the token is bound to, if the client says which (RFC 9449, section 10).
    pub key: Option<String>,
    /// Whether the person is asked in any case.
    pub asks_again: bool,
    /// How they have to have shown who they are.
    pub proof: Proof,
}

/// How a person has to have shown who they are (RFC 9470, section 4; OpenID Connect Core, section 3.1.2.1).
///
/// That somebody leaves it out of the address, or says that the gateway asked before, gives them nothing: a token says when
/// its person showed what, and whoever asked for it looks at that.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Proof {
    /// No longer ago than that, in microseconds.
    max_age: Option<i64>,
    /// After the client has asked.
    login: bool,
    /// With a second factor.
    second_factor: bool,
    /// When the gateway asked for it.
    asked_at: Option<i64>,
}

impl Proof {
    fn read(params: &Params<'_>) -> Result<Proof, OAuthError> {
        let number = |name: &'static str| -> Result<Option<i64>, OAuthError> {
            let read = |text: &str| {
                let is_number = (1..=16).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
                let number = if is_number { text.parse().ok() } else { None };
                number.ok_or_else(|| OAuthError::request(format!("{name} is no number")))
            };
            params.one(name)?.map(read).transpose()
        };
        let login = params.one("prompt")?.is_some_and(|prompts| prompts.split(' ').any(|prompt| prompt == "login"));
        let max_age = number("max_age")?.map(|seconds| seconds.saturating_mul(1_000_000));
        let values = params.one("acr_values")?.map(|values| values.split(' ').any(|value| value == SECOND_FACTOR));
        if values == Some(false) {
            let why = format!("the only acr value here is {SECOND_FACTOR}");
            return Err(OAuthError::new("unmet_authentication_requirements", why));
        }
        Ok(Proof { max_age, login, second_factor: values.is_some(), asked_at: number(ASKED_AT)? })
    }

    /// Whether it matters when they did.
    #[must_use]
    pub fn is_fresh(&self) -> bool {
        self.login || self.max_age.is_some()
    }

    /// Whether somebody has, who last showed a second factor at that moment.
    #[must_use]
    pub fn is_given(&self, second_factor_at: Option<i64>, now: i64) -> bool {
        if !self.is_fresh() {
            return !self.second_factor || second_factor_at.is_some();
        }
        let Some(at) = second_factor_at else { return false };
        let is_recent = self.max_age.is_some_and(|max_age| now.saturating_sub(at) <= max_age) && !self.login;
        let since = self.asked_at.filter(|asked| (0..=SHOWN).contains(&now.saturating_sub(*asked)));
        is_recent || since.is_some_and(|asked| at >= asked)
    }
}

/// Why a request is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// Said to the person: it is not known that the address is the client's.
    Person(OAuthError),
    /// Said to the client, at its address.
    Client(OAuthError, Answer),
}

/// Where an answer goes, and what goes with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    redirect_uri: RedirectUri,
    state: Option<String>,
}

impl Answer {
    /// Where it goes.
    #[must_use]
    pub fn redirect_uri(&self) -> &RedirectUri {
        &self.redirect_uri
    }

    /// The address with a code.
    #[must_use]
    pub fn code(&self, issuer: &str, code: &str) -> String {
        self.with(issuer, &[("code", code)])
    }

    /// The address with an error.
    #[must_use]
    pub fn error(&self, issuer: &str, error: &OAuthError) -> String {
        self.with(issuer, &[("error", error.error), ("error_description", &error.error_description)])
    }

    /// With `iss`, so that a client of several servers sees which of them answers (RFC 9207).
    fn with(&self, issuer: &str, said: &[(&str, &str)]) -> String {
        let state = self.state.as_deref().map(|state| ("state", state));
        let all: Vec<_> = said.iter().copied().chain(state).chain([("iss", issuer)]).collect();
        self.redirect_uri.with(&all)
    }
}

impl<'a> Asked<'a> {
    /// Finds out who asks.
    ///
    /// # Errors
    /// If that cannot be told.
    pub fn read(params: &'a Params<'a>) -> Result<Asked<'a>, Refusal> {
        let client_id = params.needed("client_id").map_err(Refusal::Person)?;
        if !is_id(client_id) {
            return Err(Refusal::Person(OAuthError::request("client_id is none")));
        }
        Ok(Asked { client_id, params })
    }

    /// What is asked for, by this client, of what there is.
    ///
    /// # Errors
    /// If it cannot be given.
    pub fn check(&self, client: &Client, offer: &Offer<'_>) -> Result<Request, Refusal> {
        let redirect_uri = self.redirect_uri(client).map_err(Refusal::Person)?;
        // Of two it could not be told which is the client's own, so neither goes back.
        let state = self.params.one("state").ok().flatten().filter(|state| state.len() <= STATE).map(str::to_owned);
        let answer = Answer { redirect_uri: redirect_uri.clone(), state: state.clone() };
        self.rest(redirect_uri, state, offer).map_err(|error| Refusal::Client(error, answer))
    }

    fn redirect_uri(&self, client: &Client) -> Result<RedirectUri, OAuthError> {
        let uri = RedirectUri::parse(self.params.needed("redirect_uri")?);
        let uri = uri.map_err(|error| OAuthError::request(error.to_string()))?;
        if client.known_as(&uri).is_some() {
            Ok(uri)
        } else {
            Err(OAuthError::request("redirect_uri is not one of this client's"))
        }
    }

    fn rest(&self, redirect_uri: RedirectUri, state: Option<String>, offer: &Offer<'_>) -> Result<Request, OAuthError> {
        let params = self.params;
        // A resource may be said several times (RFC 8707), which is refused below by its own error.
        params.check_single(&["resource"])?;
        if params.one("state")?.is_some_and(|state| state.len() > STATE) {
            return Err(OAuthError::request("state is too long"));
        }
        match params.needed("response_type")? {
            "code" => {}
            _ => return Err(OAuthError::new("unsupported_response_type", "the only response_type is code")),
        }
        if params.one("response_mode")?.is_some_and(|mode| mode != "query") {
            return Err(OAuthError::request("the only response_mode is query"));
        }
        if params.one("request")?.is_some() {
            return Err(OAuthError::new("request_not_supported", "parameters stand in the query"));
        }
        if params.one("request_uri")?.is_some() {
            return Err(OAuthError::new("request_uri_not_supported", "parameters stand in the query"));
        }
        let challenge = Challenge::read(params.one("code_challenge")?, params.one("code_challenge_method")?)?;
        let resource = resource(params)?.ok_or_else(|| OAuthError::target("resource is missing"))?.to_owned();
        if !(offer.is_resource)(&resource) {
            return Err(OAuthError::target("resource is none of this server's"));
        }
        let scopes = scopes(params.one("scope")?, &resource, offer)?;
        let key = params.one("dpop_jkt")?.map(thumbprint).transpose()?;
        let prompts = params.one("prompt")?;
        let proof = Proof::read(params)?;
        if prompts == Some("none") {
            return Err(OAuthError::new("interaction_required", "a person has to agree"));
        }
        Ok(Request { redirect_uri, state, challenge, resource, scopes, key, asks_again: prompts.is_some(), proof })
    }
}

impl Request {
    /// Where the answer to it goes.
    #[must_use]
    pub fn answer(&self) -> Answer {
        Answer { redirect_uri: self.redirect_uri.clone(), state: self.state.clone() }
    }
}

/// The one resource that is asked for, if any.
pub(super) fn resource<'a>(params: &'a Params<'_>) -> Result<Option<&'a str>, OAuthError> {
    let mut all = params.all("resource").filter(|value| !value.is_empty());
    match (all.next(), all.next()) {
        (one, None) => Ok(one),
        _ => Err(OAuthError::target("a token is for one resource")),
    }
}

/// What is asked for, each once and in order. `offline_access` asks for what is given anyway, so it is none of them.
fn scopes(asked: Option<&str>, resource: &str, offer: &Offer<'_>) -> Result<Vec<String>, OAuthError> {
    let words = asked.unwrap_or_default().split(' ').filter(|word| !word.is_empty() && *word != "offline_access");
    let mut scopes: Vec<_> = words.map(str::to_owned).collect();
    scopes.sort();
    scopes.dedup();
    if scopes.len() > SCOPES {
        return Err(OAuthError::scope("there are too many scopes"));
    }
    if scopes.is_empty() {
        scopes.push((offer.default_scope)(resource));
    }
    if scopes.iter().all(|scope| (offer.is_scope)(resource, scope)) {
        Ok(scopes)
    } else {
        Err(OAuthError::scope("there is no such scope at this resource"))
    }
}

fn thumbprint(text: &str) -> Result<String, OAuthError> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
    let fits = text.len() == 43 && text.bytes().all(plain);
    if fits { Ok(text.to_owned()) } else { Err(OAuthError::request("dpop_jkt is no SHA-256 in base64url")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ISSUER: &str = "https://mcp.example";
    const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

    fn offer() -> Offer<'static> {
        Offer {
            is_resource: &|resource| ["https://mcp.example/mcp", "https://mcp.example/mcp/git"].contains(&resource),
            is_scope: &|resource, scope| {
                ["mcp", "server:git"].contains(&scope) && (scope != "mcp" || resource == "https://mcp.example/mcp")
            },
            default_scope: &|resource| if resource.ends_with("/git") { "server:git" } else { "mcp" }.to_owned(),
        }
    }

    fn client() -> Client {
        let addresses = ["https://app.example/cb?x=1".to_owned(), "http://127.0.0.1/cb".to_owned()];
        Client::configured("app", "App", &addresses).unwrap()
    }

    const GOOD: [(&str, &str); 8] = [
        ("response_type", "code"),
        ("client_id", "app"),
        ("redirect_uri", "https://app.example/cb?x=1"),
        ("state", "st/ate"),
        ("code_challenge", CHALLENGE),
        ("code_challenge_method", "S256"),
        ("resource", "https://mcp.example/mcp"),
        ("scope", "server:git mcp mcp offline_access"),
    ];

    /// The good request with these in the place of what it has by those names; without a value they are left out. Those
    /// with a plus stand beside it.
    fn query(changes: &[(&str, &str)]) -> String {
        let kept = GOOD.iter().filter(|(name, _)| !changes.iter().any(|(changed, _)| changed == name));
        let changed = changes.iter().filter(|(_, value)| !value.is_empty());
        let pairs = kept.chain(changed).map(|(name, value)| (name.trim_start_matches('+'), *value));
        form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish()
    }

    fn check(changes: &[(&str, &str)]) -> Result<Request, Refusal> {
        let query = query(changes);
        let params = Params::parse(query.as_bytes()).unwrap();
        Asked::read(&params)?.check(&client(), &offer())
    }

    #[test]
    fn a_good_request_is_read_whole() {
        let request = check(&[]).unwrap();
        assert_eq!(request.scopes, ["mcp", "server:git"]);
        assert_eq!(request.resource, "https://mcp.example/mcp");
        let sent = request.answer().code(ISSUER, "btc_x");
        assert_eq!(sent, "https://app.example/cb?x=1&code=btc_x&state=st%2Fate&iss=https%3A%2F%2Fmcp.example");
        assert!(!request.asks_again && request.key.is_none());
        for (changes, scopes) in [
            (&[("scope", "")][..], "mcp"),
            (&[("scope", "offline_access")], "mcp"),
            (&[("scope", ""), ("resource", "https://mcp.example/mcp/git")], "server:git"),
            (&[("redirect_uri", "http://127.0.0.1:4711/cb"), ("scope", "mcp")], "mcp"),
            (&[("state", ""), ("scope", "mcp")], "mcp"),
            (&[("prompt", "consent"), ("scope", "mcp")], "mcp"),
            (&[("response_mode", "query"), ("nonce", "x"), ("scope", "mcp")], "mcp"),
            (&[("dpop_jkt", CHALLENGE), ("scope", "mcp")], "mcp"),
        ] {
            assert_eq!(check(changes).unwrap().scopes, [scopes], "{changes:?}");
        }
    }

    #[test]
    fn nothing_is_sent_to_an_address_that_is_not_the_clients() {
        for changes in [
            &[("client_id", "")][..],
            &[("+client_id", "other")],
            &[("+client_id", "app")],
            &[("client_id", "a\u{e9}")],
            &[("redirect_uri", "")],
            &[("+redirect_uri", "https://evil.example/cb")],
            &[("redirect_uri", "https://evil.example/cb")],
            &[("redirect_uri", "https://app.example/cb")],
            &[("redirect_uri", "https://app.example/cb?x=1&y=2")],
            &[("redirect_uri", "https://app.example/cb?x=1#")],
            &[("redirect_uri", "https://app.example/cb/?x=1")],
            &[("redirect_uri", "https://app.example:444/cb?x=1")],
            &[("redirect_uri", "https://app.example.evil.example/cb?x=1")],
            &[("redirect_uri", "https://evil.example@app.example/cb?x=1")],
            &[("redirect_uri", "http://app.example/cb?x=1")],
            &[("redirect_uri", "http://localhost/cb")],
            &[("redirect_uri", "http://127.0.0.1:4711/cb/../x")],
            &[("redirect_uri", "javascript:alert(1)")],
        ] {
            assert!(matches!(check(changes), Err(Refusal::Person(_))), "{changes:?}");
        }
    }

    #[test]
    fn what_is_wrong_is_said_to_the_client_in_the_words_of_the_standards() {
        for (changes, error) in [
            (&[("response_type", "")][..], "invalid_request"),
            (&[("response_type", "token")], "unsupported_response_type"),
            (&[("response_type", "code id_token")], "unsupported_response_type"),
            (&[("+response_type", "code")], "invalid_request"),
            (&[("response_mode", "fragment")], "invalid_request"),
            (&[("request", "x")], "request_not_supported"),
            (&[("request_uri", "https://x.example")], "request_uri_not_supported"),
            (&[("code_challenge", "")], "invalid_request"),
            (&[("code_challenge_method", "")], "invalid_request"),
            (&[("code_challenge_method", "plain")], "invalid_request"),
            (&[("+code_challenge", CHALLENGE)], "invalid_request"),
            (&[("resource", "")], "invalid_target"),
            (&[("resource", "https://other.example/mcp")], "invalid_target"),
            (&[("resource", "https://mcp.example/mcp/")], "invalid_target"),
            (&[("resource", "https://mcp.example/mcp/none")], "invalid_target"),
            (&[("+resource", "https://mcp.example/mcp/git")], "invalid_target"),
            (&[("scope", "admin")], "invalid_scope"),
            (&[("scope", "mcp\u{7c}x")], "invalid_scope"),
            (&[("scope", "mcp"), ("resource", "https://mcp.example/mcp/git")], "invalid_scope"),
            (&[("+scope", "mcp")], "invalid_request"),
            (&[("prompt", "none")], "interaction_required"),
            (&[("dpop_jkt", "short")], "invalid_request"),
            (&[("max_age", "-1")], "invalid_request"),
            (&[("max_age", "5m")], "invalid_request"),
            (&[("max_age", "99999999999999999999")], "invalid_request"),
            (&[("max_age", "1"), ("+max_age", "2")], "invalid_request"),
            (&[("acr_values", "urn:other")], "unmet_authentication_requirements"),
            (&[("+unknown", "1"), ("+unknown", "2")], "invalid_request"),
        ] {
            let Err(Refusal::Client(refused, answer)) = check(changes) else { panic!("{changes:?}") };
            assert_eq!(refused.error, error, "{changes:?}");
            let sent = answer.error(ISSUER, &refused);
            assert!(sent.starts_with(&format!("https://app.example/cb?x=1&error={error}&")), "{sent}");
            assert!(sent.ends_with("&state=st%2Fate&iss=https%3A%2F%2Fmcp.example"), "{sent}");
        }
        // A state that is said twice, or is too long, is not repeated.
        for changes in [&[("+state", "other")][..], &[("state", &"x".repeat(2049))]] {
            let Err(Refusal::Client(refused, answer)) = check(changes) else { panic!("{changes:?}") };
            assert!(!answer.error(ISSUER, &refused).contains("state="), "{changes:?}");
        }
        let many = (0..65).map(|number| format!("s{number} ")).collect::<String>();
        assert!(matches!(
            check(&[("scope", &many)]),
            Err(Refusal::Client(OAuthError { error: "invalid_scope", .. }, _))
        ));
    }

    #[test]
    fn who_has_shown_enough() {
        const SECOND: i64 = 1_000_000;
        let now = 10_000 * SECOND;
        let ago = |seconds: i64| Some(now - seconds * SECOND);
        let asked = |seconds: i64| (now - seconds * SECOND).to_string();
        let (long_ago, just, ahead) = (asked(3_600), asked(30), asked(-30));
        for (changes, shown, is_given) in [
            (&[][..], None, true),
            (&[("prompt", "consent")], None, true),
            (&[("acr_values", SECOND_FACTOR)], None, false),
            (&[("acr_values", "urn:other https://refeds.org/profile/mfa")], ago(9_999), true),
            (&[("max_age", "60")], None, false),
            (&[("max_age", "60")], ago(60), true),
            (&[("max_age", "60")], ago(61), false),
            (&[("max_age", "9999999999999999")], ago(9_999), true),
            (&[("max_age", "0")], ago(1), false),
            (&[("prompt", "login")], ago(0), false),
            (&[("prompt", "consent login"), ("max_age", "60")], ago(1), false),
            // What was shown since the gateway asked is enough, however long ago it may be at most.
            (&[("max_age", "0"), (ASKED_AT, &just)], ago(29), true),
            (&[("prompt", "login"), (ASKED_AT, &just)], ago(29), true),
            (&[("prompt", "login"), (ASKED_AT, &just)], ago(31), false),
            (&[("prompt", "login"), (ASKED_AT, &long_ago)], ago(29), false),
            (&[("prompt", "login"), (ASKED_AT, &ahead)], ago(29), false),
            (&[("prompt", "login"), (ASKED_AT, &just)], None, false),
        ] {
            assert_eq!(check(changes).unwrap().proof.is_given(shown, now), is_given, "{changes:?} {shown:?}");
        }
    }
}
