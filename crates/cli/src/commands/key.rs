//! `bartizan key`: the keys that clients show to use the gateway over HTTP.

mod claim;
mod master;
mod report;

use std::time::Duration;

use bartizan_guard::Timestamp;
use bartizan_identity::{ApiKey, ApiKeyId};
use bartizan_policy::{Scope, Scopes};
use bartizan_store::{StoreError, api_keys};
use clap::{Args, Subcommand};

pub(super) use self::claim::MasterClaimed;
pub(super) use self::master::MasterRotated;
pub(super) use self::report::{Created, Listed, Revoked, moment};
use crate::outcome::{Failure, Outcome, say};
use crate::output::{self, Paint};
use crate::stored::{Place, change, now};
use crate::text::{inline, printable};

const EXAMPLES: &str = "\
Examples:
  bartizan key create ann --scope mcp --expires 90d
  bartizan key create ci --scope tool:git/git_log --expires 2027-01-31
  bartizan key list
  bartizan key rotate ID --expires 90d --overlap 24h
  bartizan key revoke ID

Scopes:
  mcp                    everything
  server:NAME            one server
  tool:SERVER/NAME       a tool; a * at the end stands for any ending
  prompt:SERVER/NAME     a prompt
  resource:SERVER/URI    a resource";

/// The longest life of a key.
const LONGEST: Duration = Duration::from_hours(24 * 366 * 2);

/// Makes, lists, replaces and revokes keys that clients show over HTTP
#[derive(Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Makes a key; it is printed once and kept nowhere
    Create(Create),
    /// Lists the keys, without their secrets
    List(List),
    /// Makes a key in the place of another, which stays good for a while
    Rotate(Rotate),
    /// Revokes a key: from now on it is refused
    Revoke(Revoke),
    /// Makes another master key, with which what is secret in the store is sealed
    RotateMaster(master::RotateMaster),
    /// Says that the master key in the keyring is that of this store, as after a move to another disk
    ClaimMaster(claim::ClaimMaster),
}

#[derive(Args)]
struct Create {
    /// On whose behalf its holder acts: a name of 1 to 64 letters, digits, `-`, `_`, `.`, `@` and `:`
    name: String,
    /// What it is good for; may be given several times
    #[arg(long = "scope", value_name = "SCOPE", required = true)]
    scopes: Vec<String>,
    /// A role that its holder has, of those in the configuration; may be given several times
    #[arg(long = "role", value_name = "ROLE")]
    roles: Vec<String>,
    /// When it ends: a duration such as `90d`, or a date; two years at most
    #[arg(long, value_name = "WHEN")]
    expires: String,
    /// What people should know about it
    #[arg(long, value_name = "TEXT", default_value = "")]
    note: String,
    #[command(flatten)]
    place: Place,
    /// Prints JSON
    #[arg(long)]
    json: bool,
}

#[derive(Args)]
struct List {
    /// Also those that have expired or were revoked
    #[arg(long)]
    all: bool,
    #[command(flatten)]
    place: Place,
    /// Prints JSON
    #[arg(long)]
    json: bool,
}

#[derive(Args)]
struct Rotate {
    /// The key that is replaced
    id: String,
    /// When the new one ends: a duration such as `90d`, or a date; two years at most
    #[arg(long, value_name = "WHEN")]
    expires: String,
    /// How long the old one stays good at most, such as `24h`; `0` for not at all
    #[arg(long, value_name = "TIME", default_value = "24h")]
    overlap: String,
    #[command(flatten)]
    place: Place,
    /// Prints JSON
    #[arg(long)]
    json: bool,
}

#[derive(Args)]
struct Revoke {
    /// The key
    id: String,
    #[command(flatten)]
    place: Place,
    /// Prints JSON
    #[arg(long)]
    json: bool,
}

impl Arguments {
    pub(crate) fn run(self) -> Result<Outcome, Failure> {
        match self.command {
            Command::Create(create) => create.run(),
            Command::List(list) => list.run(),
            Command::Rotate(rotate) => rotate.run(),
            Command::Revoke(revoke) => revoke.run(),
            Command::RotateMaster(rotate) => rotate.run(),
            Command::ClaimMaster(claim) => claim.run(),
        }
    }
}

impl Create {
    fn run(self) -> Result<Outcome, Failure> {
        check_principal(&self.name)?;
        self.roles.iter().try_for_each(|role| check_role(role))?;
        let now = now();
        let scopes = scopes(&self.scopes)?;
        let secret = generated()?;
        let key = api_keys::ApiKey {
            id: secret.id().to_string(),
            digest: secret.digest().to_bytes(),
            principal: self.name,
            roles: self.roles,
            scopes: scopes.iter().map(Scope::to_string).collect(),
            note: note(&self.note)?,
            created_at: now.0,
            expires_at: ends(&self.expires, now)?.0,
            revoked_at: None,
            last_used_at: None,
            replaces: None,
        };
        self.place.with(true, async |store| store.add_api_key(&key, &change(now)).await)?;
        handed_out(&secret, &key, self.json)
    }
}

impl List {
    fn run(self) -> Result<Outcome, Failure> {
        let now = now().0;
        let mut keys = self.place.with(false, async |store| store.api_keys().await)?;
        if !self.all {
            keys.retain(|key| key.revoked_at.is_none() && key.expires_at > now);
        }
        if self.json {
            output::print_json(&Listed::of(&keys, now))?;
        } else if keys.is_empty() {
            say(if self.all { "there are no keys" } else { "there are no keys that are good; --all lists the others" });
        } else {
            let paint = Paint::for_stdout();
            keys.iter().try_for_each(|key| output::print(&report::lines(key, now, paint)))?;
        }
        Ok(Outcome::Clean)
    }
}

impl Rotate {
    fn run(self) -> Result<Outcome, Failure> {
        let (id, now) = (id_of(&self.id)?, now());
        let overlap = if self.overlap == "0" { Some(Duration::ZERO) } else { bartizan_config::duration(&self.overlap) };
        let overlap = overlap.ok_or_else(|| Failure::usage("--overlap is no duration; write one such as 24h, or 0"))?;
        let expires = ends(&self.expires, now)?;
        let until = now.0.saturating_add(i64::try_from(overlap.as_micros()).unwrap_or(i64::MAX));
        let secret = generated()?;
        let key = self.place.with(false, async |store| {
            let old = store.api_keys().await?.into_iter().find(|key| key.id == id.as_str());
            let old = old.ok_or_else(|| StoreError::Unknown { what: "key", name: id.to_string() })?;
            let key = api_keys::ApiKey {
                id: secret.id().to_string(),
                digest: secret.digest().to_bytes(),
                created_at: now.0,
                expires_at: expires.0,
                revoked_at: None,
                last_used_at: None,
                replaces: Some(id.to_string()),
                ..old
            };
            store.replace_api_key(id.as_str(), &key, until, &change(now)).await.map(|()| key)
        })?;
        handed_out(&secret, &key, self.json)?;
        if !self.json {
            let end = if overlap.is_zero() {
                "is refused from now on".to_owned()
            } else {
                format!("is good until {}", moment(until))
            };
            say(&format!("the old one {end}, or less long if it expires before"));
        }
        Ok(Outcome::Clean)
    }
}

impl Revoke {
    fn run(self) -> Result<Outcome, Failure> {
        let (id, now) = (id_of(&self.id)?, now());
        let revoked = self.place.with(false, async |store| store.revoke_api_key(id.as_str(), &change(now)).await)?;
        if self.json {
            output::print_json(&Revoked::of(&id, revoked))?;
        } else if revoked {
            output::print(&format!("revoked: {id}"))?;
        } else {
            output::print(&format!("was revoked before: {id}"))?;
        }
        Ok(Outcome::Clean)
    }
}

/// A new key.
fn generated() -> Result<ApiKey, Failure> {
    ApiKey::generate(getrandom::fill).map_err(|error| Failure::ours(format!("no random bytes: {error}")))
}

/// The key itself goes to stdout and to nowhere else.
fn handed_out(secret: &ApiKey, key: &api_keys::ApiKey, json: bool) -> Result<Outcome, Failure> {
    if json {
        output::print_json(&Created::of(secret, key))?;
    } else {
        output::print(secret.expose())?;
        let (id, principal, scopes) = (&key.id, inline(&key.principal), inline(&key.scopes.join(" ")));
        say(&format!("key {id} of {principal}, good for {scopes} until {}", moment(key.expires_at)));
        say("it is shown this once; clients send it as `Authorization: Bearer KEY`");
    }
    Ok(Outcome::Clean)
}

pub(super) fn check_principal(name: &str) -> Result<(), Failure> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_.@:".contains(c);
    if !(1..=64).contains(&name.len()) || !name.chars().all(plain) {
        return Err(Failure::usage("a name has 1 to 64 letters, digits and -_.@:"));
    }
    // Others are called that who did not show a key.
    let plain = name.to_ascii_lowercase();
    if [bartizan_policy::Principal::ANONYMOUS, "bartizan"].contains(&&*plain) || plain.starts_with("uid:") {
        return Err(Failure::usage(format!("`{name}` is the name of those who show no key")));
    }
    Ok(())
}

fn check_role(name: &str) -> Result<(), Failure> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    let fits = (1..=64).contains(&name.len()) && name.chars().all(plain);
    if fits { Ok(()) } else { Err(Failure::usage("a role has 1 to 64 letters, digits and -_.")) }
}

fn scopes(texts: &[String]) -> Result<Scopes, Failure> {
    // They stand in one text, as OAuth has them, as well as one by one.
    let words = texts.iter().flat_map(|text| text.split(' ').filter(|word| !word.is_empty()));
    let scopes = words.map(Scope::parse).collect::<Result<Vec<_>, _>>().map_err(Failure::usage)?;
    if scopes.is_empty() {
        return Err(Failure::usage("a key is good for something: give a --scope, such as mcp or server:NAME"));
    }
    Ok(Scopes::of(scopes))
}

fn note(text: &str) -> Result<String, Failure> {
    if text.len() > 200 || printable(text) != text || text.contains('\n') {
        return Err(Failure::usage("a note is one line of at most 200 bytes"));
    }
    Ok(text.to_owned())
}

fn ends(text: &str, now: Timestamp) -> Result<Timestamp, Failure> {
    let end = bartizan_config::end(text, now).ok_or_else(|| {
        Failure::usage(
            "--expires is neither a duration such as 90d (a number and one of s, min, h, d; at most two years, 732d) nor a \
             date such as 2027-01-31",
        )
    })?;
    if end <= now {
        return Err(Failure::usage("--expires is in the past"));
    }
    if end.0.saturating_sub(now.0) > i64::try_from(LONGEST.as_micros()).unwrap_or(i64::MAX) {
        return Err(Failure::usage(
            "--expires is more than two years (732d) from now; a key that leaks should not be good for ever",
        ));
    }
    Ok(end)
}

/// The id of a key: whoever has found a whole one somewhere may give that.
fn id_of(text: &str) -> Result<ApiKeyId, Failure> {
    ApiKey::parse(text)
        .map(|key| key.id().clone())
        .or_else(|_| ApiKeyId::parse(text))
        .map_err(|_| Failure::usage("that is no id of a key; `bartizan key list` shows them"))
}
