//! What a token says, and whether it is good.

use serde_json::{Map, Value};

use super::jws::{Jws, TokenError};

/// What a token has to be to be good, whatever its issuer.
#[derive(Debug, Clone, Copy)]
pub struct Expected<'a> {
    /// Who has to have issued it, to the letter.
    pub issuer: &'a str,
    /// Whether it may be of no declared kind: before RFC 9068 none was.
    pub untyped: bool,
    /// By how much clocks may differ, in microseconds.
    pub leeway: i64,
}

/// When a token is good, in microseconds since 1970-01-01 UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeframe {
    /// From then on.
    pub from: i64,
    /// Not any more from then on.
    pub until: i64,
}

impl Timeframe {
    /// Whether it is now.
    ///
    /// # Errors
    /// If not.
    pub fn check(&self, now: i64) -> Result<(), TokenError> {
        if now >= self.until {
            return Err(TokenError::Expired);
        }
        if now < self.from { Err(TokenError::Early) } else { Ok(()) }
    }
}

/// What a good token says.
#[derive(Debug, Clone, PartialEq)]
pub struct Access {
    claims: Map<String, Value>,
    /// What it is for.
    pub audiences: Vec<String>,
    /// When it is good, with the leeway.
    pub when: Timeframe,
    /// The thumbprint of the key that whoever shows it has to prove to have (RFC 9449).
    pub bound_to: Option<String>,
}

/// A claim, or a member of one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClaimPath(pub Vec<String>);

impl ClaimPath {
    /// The claim of that name.
    #[must_use]
    pub fn of(name: &str) -> ClaimPath {
        ClaimPath(vec![name.to_owned()])
    }
}

/// How many of what a list in a token may hold are looked at.
const LONGEST_LIST: usize = 1024;

impl Access {
    /// What a signed token says, whose signature was checked.
    ///
    /// # Errors
    /// If it is not good. Whether it is good now is for [`Timeframe::check`].
    pub fn of_jws(jws: Jws<'_>, expected: &Expected<'_>) -> Result<Access, TokenError> {
        match jws.kind().as_deref() {
            Some("at+jwt") => {}
            Some("jwt") | None if expected.untyped => {}
            _ => return Err(TokenError::Header("typ")),
        }
        let claims = jws.claims;
        text(&claims, "iss")?.filter(|issuer| *issuer == expected.issuer).ok_or(TokenError::Claim("iss"))?;
        // What RFC 9068 asks for beside those that are needed here.
        for name in ["client_id", "jti"] {
            if text(&claims, name)?.is_none() && !expected.untyped {
                return Err(TokenError::Claim(name));
            }
        }
        text(&claims, "sub")?.ok_or(TokenError::Claim("sub"))?;
        let issued = moment(&claims, "iat")?.ok_or(TokenError::Claim("iat"))?;
        let until = moment(&claims, "exp")?.ok_or(TokenError::Claim("exp"))?;
        let from = moment(&claims, "nbf")?.map_or(issued, |from| from.max(issued));
        Access::new(claims, from, until, expected.leeway)
    }

    /// What its issuer says of an opaque token that is good (`active`), at `now`.
    ///
    /// # Errors
    /// If it says something that contradicts that.
    pub fn of_introspection(
        claims: Map<String, Value>,
        expected: &Expected<'_>,
        now: i64,
    ) -> Result<Access, TokenError> {
        if claims.get("active") != Some(&Value::Bool(true)) {
            return Err(TokenError::Claim("active"));
        }
        // All of these are optional there; what is said has to be right.
        if text(&claims, "iss")?.is_some_and(|issuer| issuer != expected.issuer) {
            return Err(TokenError::Claim("iss"));
        }
        let from = moment(&claims, "nbf")?.unwrap_or(i64::MIN / 2);
        // Without an end it is asked about again and again.
        let until = moment(&claims, "exp")?.unwrap_or(now.saturating_add(DAY));
        Access::new(claims, from, until, expected.leeway)
    }

    fn new(claims: Map<String, Value>, from: i64, until: i64, leeway: i64) -> Result<Access, TokenError> {
        let audiences = texts(claims.get("aud")).ok_or(TokenError::Claim("aud"))?;
        let bound_to = bound_to(&claims)?;
        let when = Timeframe { from: from.saturating_sub(leeway), until: until.saturating_add(leeway) };
        Ok(Access { claims, audiences, when, bound_to })
    }

    /// Whether it is for one of these.
    #[must_use]
    pub fn is_for<'a>(&self, mut any_of: impl Iterator<Item = &'a str>) -> bool {
        any_of.any(|own| self.audiences.iter().any(|audience| audience == own))
    }

    /// The text under a path; none if there is none.
    #[must_use]
    pub fn text(&self, path: &ClaimPath) -> Option<&str> {
        self.at(path)?.as_str()
    }

    /// All texts under a path: those of a list, or a single one.
    #[must_use]
    pub fn list(&self, path: &ClaimPath) -> Vec<&str> {
        match self.at(path) {
            Some(Value::String(one)) => vec![one],
            Some(Value::Array(list)) => list.iter().take(LONGEST_LIST).filter_map(Value::as_str).collect(),
            _ => Vec::new(),
        }
    }

    /// In which way a path does not give the texts that [`list`](Access::list) looks for; nothing if it does.
    #[must_use]
    pub fn lacks_list(&self, path: &ClaimPath) -> Option<&'static str> {
        match self.at(path) {
            None | Some(Value::Null) => Some("missing"),
            Some(Value::String(_)) => None,
            Some(Value::Array(list)) if list.len() > LONGEST_LIST => {
                Some("too long a list, of which the rest is left out")
            }
            Some(Value::Array(list)) if list.iter().all(Value::is_string) => None,
            Some(_) => Some("no list of texts"),
        }
    }

    /// All words under a path: a text has them with spaces between, a list one by one.
    #[must_use]
    pub fn words(&self, path: &ClaimPath) -> Vec<&str> {
        match self.at(path) {
            Some(Value::String(text)) => text.split(' ').filter(|word| !word.is_empty()).take(LONGEST_LIST).collect(),
            _ => self.list(path),
        }
    }

    /// The moment in a claim, in microseconds since 1970-01-01 UTC.
    #[must_use]
    pub fn moment(&self, name: &str) -> Option<i64> {
        moment(&self.claims, name).ok().flatten()
    }

    fn at(&self, path: &ClaimPath) -> Option<&Value> {
        let (first, rest) = path.0.split_first()?;
        rest.iter().try_fold(self.claims.get(first)?, |value, name| value.get(name))
    }
}

const SECOND: i64 = 1_000_000;
const DAY: i64 = 86_400 * SECOND;

fn text<'a>(claims: &'a Map<String, Value>, name: &'static str) -> Result<Option<&'a str>, TokenError> {
    match claims.get(name) {
        None => Ok(None),
        Some(Value::String(text)) if !text.is_empty() => Ok(Some(text)),
        Some(_) => Err(TokenError::Claim(name)),
    }
}

/// One text, or a list of at least one and of nothing else.
fn texts(value: Option<&Value>) -> Option<Vec<String>> {
    match value? {
        Value::String(one) => Some(vec![one.clone()]),
        Value::Array(list) if (1..=LONGEST_LIST).contains(&list.len()) => {
            list.iter().map(|one| one.as_str().map(str::to_owned)).collect()
        }
        _ => None,
    }
}

/// A moment in seconds, which may have fractions, as microseconds.
fn moment(claims: &Map<String, Value>, name: &str) -> Result<Option<i64>, TokenError> {
    const NAMES: [&str; 4] = ["exp", "iat", "nbf", "auth_time"];
    let Some(value) = claims.get(name) else { return Ok(None) };
    let wrong = TokenError::Claim(NAMES.into_iter().find(|known| *known == name).unwrap_or("time"));
    // A year beyond 9999 is no moment.
    let whole = value.as_i64().or_else(|| value.as_f64().filter(|seconds| seconds.is_finite()).map(floor));
    let seconds = whole.filter(|seconds| (0..=253_402_300_799).contains(seconds)).ok_or(wrong)?;
    Ok(Some(seconds * SECOND))
}

#[expect(clippy::cast_possible_truncation, reason = "what does not fit is out of the range that is checked next")]
fn floor(seconds: f64) -> i64 {
    seconds.floor() as i64
}

/// The key that a token is bound to. One that is bound in another way is not good: that could not be checked.
fn bound_to(claims: &Map<String, Value>) -> Result<Option<String>, TokenError> {
    let Some(confirmation) = claims.get("cnf") else { return Ok(None) };
    let confirmation = confirmation.as_object().filter(|members| members.len() == 1);
    let thumbprint = confirmation.and_then(|members| members.get("jkt")).and_then(Value::as_str);
    thumbprint.map(|text| Some(text.to_owned())).ok_or(TokenError::Claim("cnf"))
}
