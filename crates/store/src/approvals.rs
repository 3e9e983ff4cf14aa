//! What somebody has to agree to before it is done, and whether they did.
//!
//! **Threat.** One yes is used twice: by two calls at once, by two gateways, or by one that was killed in between. So it is
//! spent in a transaction, on disk, before anything leaves: whoever does not see that it was they who spent it has nothing.

use serde_json::{Value, json};
use sqlx::Row;
use sqlx::sqlite::{SqliteConnection, SqliteRow};

use crate::events::{Change, note};
use crate::people::check_stands;
use crate::{Result, Store, StoreError};

/// Something that somebody has to agree to. Moments are microseconds since 1970-01-01 UTC.
#[derive(Debug, Clone, PartialEq)]
pub struct Request {
    /// What it is called.
    pub id: String,
    /// Of exactly what is asked for.
    pub digest: [u8; 32],
    /// On whose behalf it is asked for.
    pub principal: String,
    /// The server that it is for.
    pub server: String,
    /// Such as `tool pay`.
    pub what: String,
    /// What asks and why, and who may agree: an object.
    pub asks: Value,
    /// The parameters, sealed; empty once nobody has to see them any more.
    pub sealed: Vec<u8>,
    /// Whether somebody has to agree.
    pub needs_yes: bool,
    /// Whether whoever asks has to show who they are.
    pub needs_proof: bool,
    /// Whether whoever asks may not agree.
    pub four_eyes: bool,
    /// When it was asked for.
    pub created_at: i64,
    /// From when on it is good for nothing.
    pub expires_at: i64,
}

/// A request, and what came of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Approval {
    /// What was asked for.
    pub request: Request,
    /// Who agreed.
    pub yes: Option<Change>,
    /// Who showed who they are, and when.
    pub proof: Option<Change>,
    /// Who said no.
    pub denied: Option<Change>,
    /// What whoever decided says about it.
    pub reason: String,
    /// When it was spent.
    pub used_at: Option<i64>,
}

/// How it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Somebody has to decide yet.
    Pending,
    /// All have agreed who have to; it is good for once.
    Approved,
    /// Somebody said no.
    Denied,
    /// It was spent.
    Used,
    /// Nobody decided in time, or nobody used it.
    Expired,
}

impl State {
    /// Its name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            State::Pending => "pending",
            State::Approved => "approved",
            State::Denied => "denied",
            State::Used => "used",
            State::Expired => "expired",
        }
    }
}

impl Approval {
    /// How it stands at that moment.
    #[must_use]
    pub fn state(&self, now: i64) -> State {
        let Request { needs_yes, needs_proof, expires_at, .. } = self.request;
        match self {
            _ if self.used_at.is_some() => State::Used,
            _ if self.denied.is_some() => State::Denied,
            _ if expires_at <= now => State::Expired,
            _ if (!needs_yes || self.yes.is_some()) && (!needs_proof || self.proof.is_some()) => State::Approved,
            _ => State::Pending,
        }
    }
}

/// What is asked of somebody who decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// That it be done.
    Yes,
    /// That they are who they say.
    Proof,
}

/// How many may be open.
#[derive(Debug, Clone, Copy)]
pub struct Most {
    /// Of one principal.
    pub each: i64,
    /// Of all.
    pub all: i64,
}

/// What came of asking.
#[derive(Debug, Clone, PartialEq)]
pub enum Asked {
    /// The same was asked for already, or is now.
    There(Box<Approval>),
    /// Too many wait.
    TooMany,
}

/// How long what came of a request is kept, once it is over.
const KEPT: i64 = 7 * 24 * 3_600 * 1_000_000;

const INSERT: &str = "INSERT INTO approval
    (id, digest, principal, server, what, asks, sealed, needs_yes, needs_proof, four_eyes, created_at, expires_at, reason)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, '')";
/// What was denied stands until it would have expired, so that nobody is asked again and again.
const OPEN: &str = "SELECT * FROM approval
    WHERE principal = $1 AND digest = $2 AND used_at IS NULL AND expires_at > $3 ORDER BY created_at DESC LIMIT 1";
const COUNT: &str = "SELECT count(*) AS every, coalesce(sum(principal = $1), 0) AS own FROM approval
    WHERE used_at IS NULL AND denied_at IS NULL AND expires_at > $2";
const FORGET: &str = "DELETE FROM approval WHERE expires_at < $1";
const EMPTY: &str = "UPDATE approval SET sealed = x'' WHERE expires_at <= $1 AND length(sealed) > 0";
const AGREE: &str = "UPDATE approval SET yes_at = $2, yes_by = $3, reason = $4, expires_at = $5 WHERE id = $1";
const PROVE: &str = "UPDATE approval SET proof_at = $2, proof_by = $3, expires_at = $4 WHERE id = $1";
const DENY: &str = "UPDATE approval SET denied_at = $2, denied_by = $3, reason = $4, sealed = x'' WHERE id = $1";
const GIVEN: &str = "SELECT * FROM approval WHERE used_at IS NULL AND denied_at IS NULL AND expires_at > $2
    AND (yes_by = $1 OR proof_by = $1) ORDER BY created_at, id";
const TAKE_BACK: &str = "UPDATE approval SET
    reason = CASE WHEN yes_by = $2 THEN '' ELSE reason END,
    yes_at = CASE WHEN yes_by = $2 THEN NULL ELSE yes_at END, yes_by = CASE WHEN yes_by = $2 THEN NULL ELSE yes_by END,
    proof_at = CASE WHEN proof_by = $2 THEN NULL ELSE proof_at END,
    proof_by = CASE WHEN proof_by = $2 THEN NULL ELSE proof_by END WHERE id = $1";
const SPEND: &str = "UPDATE approval SET used_at = $3, sealed = x''
    WHERE id = $1 AND digest = $2 AND used_at IS NULL AND denied_at IS NULL AND expires_at > $3
    AND (needs_yes = 0 OR yes_at IS NOT NULL) AND (needs_proof = 0 OR proof_at IS NOT NULL)";

/// Who decides.
#[derive(Debug, Clone, Copy)]
pub enum By<'a> {
    /// A person who has signed in.
    Person {
        /// Who, and when.
        change: &'a Change,
        /// Which of theirs they signed in as: nobody decides who was shown to be another one meanwhile.
        generation: i64,
        /// When they last showed a second factor, if they did.
        second_factor_at: Option<i64>,
    },
    /// Whoever can use the store.
    Operator(&'a Change),
}

impl<'a> By<'a> {
    fn change(self) -> &'a Change {
        let (By::Person { change, .. } | By::Operator(change)) = self;
        change
    }

    /// What the log says of a decision: in which way it was made, what for, and until when it is good.
    fn said(self, request: &Request, reason: &str, until: Option<i64>) -> Value {
        let mut fields = said(request);
        if let Some(fields) = fields.as_object_mut() {
            let mut add = |name: &str, value: Value| fields.insert(name.to_owned(), value);
            match self {
                By::Person { second_factor_at, .. } => {
                    add("way", "page".into());
                    second_factor_at.map(|at| add("second_factor_at", at.into()));
                }
                By::Operator(_) => {
                    add("way", "command".into());
                }
            }
            if !reason.is_empty() {
                add("reason", reason.into());
            }
            until.map(|until| add("expires_at", until.into()));
        }
        fields
    }

    async fn check(self, connection: &mut SqliteConnection) -> Result<()> {
        match self {
            By::Person { change, generation, .. } => check_stands(connection, &change.by, generation).await,
            By::Operator(_) => Ok(()),
        }
    }
}

impl Store {
    /// What the same principal asked for under that digest and has not used, if it has not expired; also what was denied.
    ///
    /// # Errors
    /// If the database cannot be read.
    pub async fn open_approval(&self, principal: &str, digest: &[u8; 32], now: i64) -> Result<Option<Approval>> {
        let query = sqlx::query(OPEN).bind(principal).bind(digest.as_slice()).bind(now);
        query.fetch_optional(self.reading()).await?.as_ref().map(approval).transpose()
    }

    /// The request of that name.
    ///
    /// # Errors
    /// If there is none, or the database cannot be read.
    pub async fn approval(&self, id: &str) -> Result<Approval> {
        let query = sqlx::query("SELECT * FROM approval WHERE id = $1").bind(id);
        let row = query.fetch_optional(self.reading()).await?.ok_or_else(unknown(id))?;
        approval(&row)
    }

    /// All that are kept, the oldest first.
    ///
    /// # Errors
    /// If the database cannot be read.
    pub async fn approvals(&self) -> Result<Vec<Approval>> {
        let rows = sqlx::query("SELECT * FROM approval ORDER BY created_at, id").fetch_all(self.reading()).await?;
        rows.iter().map(approval).collect()
    }

    /// Asks for something, unless the same was asked for already.
    ///
    /// # Errors
    /// If it cannot be kept.
    pub async fn ask_approval(&self, request: &Request, most: Most) -> Result<Asked> {
        let Request { principal, digest, created_at: now, .. } = request;
        // Nobody remembers these rows: whoever waits looks again once somebody has decided, which is marked.
        self.write_noted(async |connection| {
            sqlx::query(FORGET).bind(now - KEPT).execute(&mut *connection).await?;
            sqlx::query(EMPTY).bind(now).execute(&mut *connection).await?;
            let query = sqlx::query(OPEN).bind(principal).bind(digest.as_slice()).bind(now);
            if let Some(row) = query.fetch_optional(&mut *connection).await? {
                return Ok(Asked::There(Box::new(approval(&row)?)));
            }
            let counted = sqlx::query(COUNT).bind(principal).bind(now).fetch_one(&mut *connection).await?;
            if counted.try_get::<i64, _>("own")? >= most.each || counted.try_get::<i64, _>("every")? >= most.all {
                return Ok(Asked::TooMany);
            }
            insert(connection, request).await?;
            let change = Change { by: principal.clone(), at: *now };
            note(connection, &change, "approval.asked", asked(request)).await?;
            let (yes, proof, denied) = (None, None, None);
            let approval =
                Approval { request: request.clone(), yes, proof, denied, reason: String::new(), used_at: None };
            Ok(Asked::There(Box::new(approval)))
        })
        .await
    }

    /// Somebody agrees, or shows who they are; what is then approved is good until `until`.
    ///
    /// # Errors
    /// If there is nothing to decide any more, if they may not, or if this cannot be kept.
    pub async fn grant_approval(&self, id: &str, part: Part, reason: &str, until: i64, by: By<'_>) -> Result<Approval> {
        let change = by.change();
        self.write(async |connection| {
            by.check(connection).await?;
            let held = pending(connection, id, change.at).await?;
            let Request { needs_yes, needs_proof, four_eyes, principal, .. } = &held.request;
            match part {
                Part::Yes if !needs_yes => {
                    return Err(StoreError::State("nobody has to agree to it; whoever asks has to sign in".to_owned()));
                }
                Part::Yes if *four_eyes && *principal == change.by => {
                    return Err(StoreError::State("nobody agrees to what they ask for themselves".to_owned()));
                }
                Part::Yes => {
                    let query = sqlx::query(AGREE).bind(id).bind(change.at).bind(&change.by).bind(reason).bind(until);
                    query.execute(&mut *connection).await?;
                    let said = by.said(&held.request, reason, Some(until));
                    note(connection, change, "approval.approved", said).await?;
                }
                Part::Proof if !needs_proof || *principal != change.by => {
                    return Err(StoreError::State("only whoever asks can show who they are".to_owned()));
                }
                Part::Proof => {
                    let query = sqlx::query(PROVE).bind(id).bind(change.at).bind(&change.by).bind(until);
                    query.execute(&mut *connection).await?;
                    note(connection, change, "approval.proven", by.said(&held.request, "", Some(until))).await?;
                }
            }
            one(connection, id).await
        })
        .await
    }

    /// Somebody says no. Also what was approved is good for nothing then.
    ///
    /// # Errors
    /// If there is nothing to decide any more, or this cannot be kept.
    pub async fn deny_approval(&self, id: &str, reason: &str, by: By<'_>) -> Result<Approval> {
        let change = by.change();
        self.write(async |connection| {
            by.check(connection).await?;
            let held = one(connection, id).await?;
            if !matches!(held.state(change.at), State::Pending | State::Approved) {
                return Err(over(&held, change.at));
            }
            let query = sqlx::query(DENY).bind(id).bind(change.at).bind(&change.by).bind(reason);
            query.execute(&mut *connection).await?;
            note(connection, change, "approval.denied", by.said(&held.request, reason, None)).await?;
            one(connection, id).await
        })
        .await
    }

    /// Spends what was approved. Of however many try, one gets true, once, and it is on disk by then.
    ///
    /// # Errors
    /// If it cannot be told; then it may have been spent.
    pub async fn spend_approval(&self, id: &str, digest: &[u8; 32], now: i64) -> Result<bool> {
        // Nobody remembers these rows: whoever waits looks again once somebody has decided, which is marked.
        self.write_noted(async |connection| {
            let query = sqlx::query(SPEND).bind(id).bind(digest.as_slice()).bind(now);
            if query.execute(&mut *connection).await?.rows_affected() != 1 {
                return Ok(false);
            }
            let held = one(connection, id).await?;
            let change = Change { by: held.request.principal.clone(), at: now };
            note(connection, &change, "approval.used", said(&held.request)).await?;
            Ok(true)
        })
        .await
    }
}

/// Takes back what somebody agreed to, or proved, that nobody has used yet: it may not have been they who did. It waits again,
/// for as long as what was agreed to would have been good. A no of theirs stands.
pub(crate) async fn take_back(connection: &mut SqliteConnection, person: &str, change: &Change) -> Result<()> {
    let rows = sqlx::query(GIVEN).bind(person).bind(change.at).fetch_all(&mut *connection).await?;
    for row in &rows {
        let held = approval(row)?;
        sqlx::query(TAKE_BACK).bind(&held.request.id).bind(person).execute(&mut *connection).await?;
        let is_theirs = |given: &Option<Change>| given.as_ref().is_some_and(|given| given.by == person);
        let parts = [("yes", is_theirs(&held.yes)), ("proof", is_theirs(&held.proof))];
        let mut fields = said(&held.request);
        if let Some(fields) = fields.as_object_mut() {
            let taken: Vec<_> = parts.into_iter().filter(|(_, taken)| *taken).map(|(part, _)| part).collect();
            fields.extend([("of".to_owned(), person.into()), ("taken".to_owned(), taken.into())]);
        }
        note(connection, change, "approval.withdrawn", fields).await?;
    }
    Ok(())
}

/// What the log says of it: no content.
fn said(request: &Request) -> Value {
    let Request { id, principal, server, what, four_eyes, needs_yes, needs_proof, .. } = request;
    json!({
        "approval": id, "principal": principal, "server": server, "what": what, "four_eyes": four_eyes,
        "needs_yes": needs_yes, "needs_proof": needs_proof,
    })
}

/// The same of a new one, with which rules and policies ask, who may agree, and until when it waits.
fn asked(request: &Request) -> Value {
    let mut fields = said(request);
    if let Some(fields) = fields.as_object_mut() {
        let mut asks = request.asks.get("asks").cloned().unwrap_or_default();
        // The finding of the call has the sentence.
        for ask in asks.as_array_mut().into_iter().flatten() {
            ask.as_object_mut().and_then(|ask| ask.remove("why"));
        }
        fields.insert("asks".to_owned(), asks);
        fields.insert("fresh".to_owned(), request.asks.get("fresh").cloned().unwrap_or_default());
        fields.insert("expires_at".to_owned(), request.expires_at.into());
    }
    fields
}

async fn pending(connection: &mut SqliteConnection, id: &str, now: i64) -> Result<Approval> {
    let held = one(connection, id).await?;
    if held.state(now) == State::Pending { Ok(held) } else { Err(over(&held, now)) }
}

async fn one(connection: &mut SqliteConnection, id: &str) -> Result<Approval> {
    let query = sqlx::query("SELECT * FROM approval WHERE id = $1").bind(id);
    approval(&query.fetch_optional(connection).await?.ok_or_else(unknown(id))?)
}

fn over(held: &Approval, now: i64) -> StoreError {
    let how = match held.state(now) {
        State::Pending => "is still to be decided",
        State::Approved => "is approved already",
        State::Denied => "was denied",
        State::Used => "was approved, and used",
        State::Expired => "has expired",
    };
    StoreError::State(format!("`{}` {how}", held.request.id))
}

async fn insert(connection: &mut SqliteConnection, request: &Request) -> Result<()> {
    let query = sqlx::query(INSERT).bind(&request.id).bind(request.digest.as_slice()).bind(&request.principal);
    let query = query.bind(&request.server).bind(&request.what).bind(request.asks.to_string()).bind(&request.sealed);
    let query = query.bind(request.needs_yes).bind(request.needs_proof).bind(request.four_eyes);
    query.bind(request.created_at).bind(request.expires_at).execute(connection).await?;
    Ok(())
}

fn approval(row: &SqliteRow) -> Result<Approval> {
    let by = |at: &str, by: &str| -> Result<Option<Change>> {
        let at: Option<i64> = row.try_get(at)?;
        let by: Option<String> = row.try_get(by)?;
        Ok(at.zip(by).map(|(at, by)| Change { by, at }))
    };
    let digest: &[u8] = row.try_get("digest")?;
    let asks: &str = row.try_get("asks")?;
    let request = Request {
        id: row.try_get("id")?,
        digest: digest.try_into().map_err(|_| StoreError::State("a digest has another length".to_owned()))?,
        principal: row.try_get("principal")?,
        server: row.try_get("server")?,
        what: row.try_get("what")?,
        asks: serde_json::from_str(asks).map_err(|_| StoreError::State("what asks cannot be read".to_owned()))?,
        sealed: row.try_get("sealed")?,
        needs_yes: row.try_get("needs_yes")?,
        needs_proof: row.try_get("needs_proof")?,
        four_eyes: row.try_get("four_eyes")?,
        created_at: row.try_get("created_at")?,
        expires_at: row.try_get("expires_at")?,
    };
    Ok(Approval {
        request,
        yes: by("yes_at", "yes_by")?,
        proof: by("proof_at", "proof_by")?,
        denied: by("denied_at", "denied_by")?,
        reason: row.try_get("reason")?,
        used_at: row.try_get("used_at")?,
    })
}

fn unknown(id: &str) -> impl FnOnce() -> StoreError {
    let name = id.to_owned();
    move || StoreError::Unknown { what: "request for approval", name }
}

#[cfg(test)]
mod tests;
