//! One issuer of access tokens: what its tokens have to be, and who it is that shows one.

use std::sync::Arc;

use bartizan_config::Issuer as Settings;
use bartizan_config::{Dpop, PrincipalNames};
use bartizan_guard::{Principal, Scope, Scopes, SignedIn};
use bartizan_identity::grant::authorize::SECOND_FACTOR;
use bartizan_identity::token::{Access, ClaimPath, Expected};

use super::fetch::Fetcher;
use super::introspect::Introspector;
use super::keys::{Keys, Published};
use crate::issuer::Issuer as Own;

/// Somebody who issues tokens.
pub(super) struct Issuer {
    pub(super) settings: Settings,
    pub(super) keys: Keys,
    pub(super) introspector: Option<Introspector>,
    /// What it is asked over; none of this gateway itself.
    pub(super) fetcher: Option<Arc<Fetcher>>,
}

/// The longest name that a token may have for somebody or something.
const LONGEST: usize = 255;

impl Issuer {
    /// One elsewhere.
    pub(super) fn new(settings: Settings) -> std::io::Result<Issuer> {
        let urls =
            settings.jwks_uri.iter().chain(settings.introspection.iter().map(|introspection| &introspection.url));
        let fetcher = Arc::new(Fetcher::new(&settings.issuer, urls.map(String::as_str), settings.tls.as_ref())?);
        let introspector =
            settings.introspection.clone().map(|introspection| Introspector::new(introspection, Arc::clone(&fetcher)));
        let keys = Keys::Published(Box::new(Published::new(&settings, Arc::clone(&fetcher))));
        Ok(Issuer { settings, keys, introspector, fetcher: Some(fetcher) })
    }

    /// This gateway itself.
    pub(super) fn own(own: Arc<Own>) -> Issuer {
        let acr_values = vec![SECOND_FACTOR.to_owned()];
        let settings = Settings { acr_values, ..Settings::trusted("bartizan", own.url()) };
        Issuer { settings, keys: Keys::Own(own), introspector: None, fetcher: None }
    }

    pub(super) fn acr_values(&self) -> &[String] {
        &self.settings.acr_values
    }

    /// Whether what a good token rests on still holds; nothing if that cannot be told.
    pub(super) async fn still_holds(&self, access: &Access) -> Option<bool> {
        let Keys::Own(own) = &self.keys else { return Some(true) };
        let text = |name: &str| access.text(&ClaimPath::of(name)).unwrap_or_default();
        own.is_live(text("grant"), text("sub"), text("client_id")).await.ok()
    }

    pub(super) fn expected(&self) -> Expected<'_> {
        let leeway = i64::try_from(self.settings.leeway.as_micros()).unwrap_or_default();
        Expected { issuer: &self.settings.issuer, untyped: self.settings.untyped, leeway }
    }

    /// Whether a token is for this resource.
    pub(super) fn is_for(&self, access: &Access, resource: &str) -> bool {
        match &self.settings.audience[..] {
            [] => access.is_for(std::iter::once(resource)),
            named => access.is_for(named.iter().map(String::as_str)),
        }
    }

    pub(super) fn needs_proof(&self) -> bool {
        self.settings.dpop == Dpop::Required
    }

    /// Who it is that shows a token.
    ///
    /// # Errors
    /// Why it is nobody: it does not say so in a way that can be used.
    pub(super) fn principal(&self, access: &Access) -> Result<Principal, String> {
        let claims = &self.settings.claims;
        let path = |names: &Vec<String>| ClaimPath(names.clone());
        let missing = |what: &str, names: &[String]| {
            format!("the claim `{}`, which is to say {what}, is missing, no text, or too long", names.join("."))
        };
        let named = |names: &Vec<String>| access.text(&path(names)).filter(|name| is_name(name));
        let name = named(&claims.principal).ok_or_else(|| missing("who it is (`principal`)", &claims.principal))?;
        let id = match self.settings.names {
            PrincipalNames::Prefixed => format!("{}:{name}", self.settings.name),
            // Without a colon it cannot be one of those that have a prefix.
            PrincipalNames::Plain if is_plain(name) => name.to_owned(),
            PrincipalNames::Plain => {
                let claim = claims.principal.join(".");
                return Err(format!(
                    "the claim `{claim}` has a name that cannot stand by itself (`names = \"plain\"`)"
                ));
            }
        };
        let list = |names: &Option<Vec<String>>| {
            let list = names.as_ref().map(|names| access.list(&path(names))).unwrap_or_default();
            let mut list: Vec<Box<str>> = list.into_iter().filter(|name| is_name(name)).map(Box::from).collect();
            list.sort();
            list.dedup();
            Arc::from(list)
        };
        let tenant = match &claims.tenant {
            // A token without a tenant is not one of everybody's.
            Some(names) => Some(Arc::from(named(names).ok_or_else(|| missing("the tenant (`tenant`)", names))?)),
            None => None,
        };
        Ok(Principal {
            roles: list(&claims.roles),
            groups: list(&claims.groups),
            tenant,
            signed_in: signed_in(access, &self.settings.acr_values),
            scopes: self.scopes(access),
            ..Principal::new(&id)
        })
    }

    /// The claims that are to say which roles and groups somebody has, each with what is wrong with it: a good token with
    /// one that was named wrongly lets somebody in who may do less, and nobody would know why.
    pub(super) fn unread(&self, access: &Access) -> Vec<(String, &'static str)> {
        let claims = &self.settings.claims;
        let unread = [&claims.roles, &claims.groups].into_iter().flatten().filter_map(|names| {
            let path = ClaimPath(names.clone());
            let no_names = || {
                let all_are = access.list(&path).into_iter().all(is_name);
                (!all_are).then_some("a list with texts that are no names, which are left out")
            };
            access.lacks_list(&path).or_else(no_names).map(|why| (names.join("."), why))
        });
        unread.collect()
    }

    /// The scopes that a token names, in its issuer's words.
    pub(super) fn words<'a>(&self, access: &'a Access) -> Vec<&'a str> {
        access.words(&ClaimPath(self.settings.claims.scope.clone()))
    }

    /// What a token is good for.
    fn scopes(&self, access: &Access) -> Scopes {
        let words = self.words(access);
        let mut found: Vec<Scope> = Vec::new();
        for word in words {
            match self.settings.scopes.get(word) {
                Some(scopes) => found.extend(scopes.iter().cloned()),
                None => found.extend(Scope::parse(word).ok()),
            }
        }
        if found.is_empty() { self.settings.default_scopes.clone() } else { Scopes::of(found) }
    }

    /// What this issuer calls a scope that a client needs here: the first of its own that is good for it, or the scope itself.
    pub(super) fn called<'a>(&'a self, scope: &'a str) -> &'a str {
        let Ok(wanted) = Scope::parse(scope) else { return scope };
        let covers = |scopes: &Scopes| match &wanted {
            Scope::All => scopes.are_all(),
            Scope::Server(server) => scopes.allow_all_of(server),
            Scope::Thing(kind, server, name) => scopes.allow(server, *kind, name),
        };
        // The one that is good for least.
        let own = self.settings.scopes.iter().filter(|(_, scopes)| covers(scopes));
        own.min_by_key(|(_, scopes)| scopes.iter().map(breadth).max()).map_or(scope, |(name, _)| name)
    }
}

fn breadth(scope: &Scope) -> u8 {
    match scope {
        Scope::All => 2,
        Scope::Server(_) => 1,
        Scope::Thing(..) => 0,
    }
}

fn is_name(name: &str) -> bool {
    (1..=LONGEST).contains(&name.len()) && !name.chars().any(char::is_control)
}

fn is_plain(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-+@".contains(&byte);
    name.bytes().all(plain) && name != Principal::ANONYMOUS
}

/// How they signed in; if the issuer's words for a second factor are known, they say whether one was shown, and otherwise the
/// methods do.
fn signed_in(access: &Access, acr_values: &[String]) -> Option<Arc<SignedIn>> {
    let mut methods: Vec<Box<str>> =
        access.list(&ClaimPath::of("amr")).into_iter().filter(|name| is_name(name)).map(Box::from).collect();
    methods.sort();
    methods.dedup();
    let at = access.moment("auth_time");
    let acr = access.text(&ClaimPath::of("acr"));
    let second_factor = match acr_values {
        [] => SignedIn::has_second_factor(&methods),
        values => acr.is_some_and(|acr| values.iter().any(|value| value == acr)),
    };
    let is_said = at.is_some() || !methods.is_empty() || second_factor;
    is_said.then(|| Arc::new(SignedIn { at, methods: methods.into(), second_factor }))
}
