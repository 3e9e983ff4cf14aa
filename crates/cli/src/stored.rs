//! The store, for commands that read and change what is in it.

use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use bartizan_config::{Config, OneServer};
use bartizan_guard::{Roles, Timestamp};
use bartizan_keyring::KeyringError;
use bartizan_store::{Change, MasterKey, SealError, Store, StoreError};
use clap::Args;

use crate::common;
use crate::outcome::Failure;

/// Which store.
#[derive(Args)]
pub(crate) struct Place {
    /// The database; without it the one of the configuration
    #[arg(long, value_name = "FILE")]
    store: Option<PathBuf>,
    /// The configuration that says where it is; without it `bartizan.toml` in this directory, if there is one
    #[arg(long, value_name = "FILE", conflicts_with = "store")]
    config: Option<PathBuf>,
}

impl Place {
    /// The one of that configuration.
    pub(crate) fn of(config: PathBuf) -> Place {
        Place { store: None, config: Some(config) }
    }

    /// The one of the configuration that is here, or else the user's own.
    pub(crate) fn here() -> Place {
        Place { store: None, config: None }
    }

    /// Keeps for the log of a gateway what was done elsewhere, where that gateway has anything.
    pub(crate) fn note(&self, kind: &str, fields: serde_json::Value) -> Result<(), Failure> {
        // Without a directory for it nothing of this user's has ever been run here.
        let is_used = self.find().is_ok_and(|(path, _)| path.parent().is_some_and(Path::is_dir));
        if !is_used {
            return Ok(());
        }
        let done = self.with(true, async |store| store.note_elsewhere(&change(now()), kind, fields).await);
        done.map_err(|failure| failure.after("it is done, but the log will not say so"))
    }

    /// What the configuration says of one server, if there is one and all of that is right.
    pub(crate) fn server(&self, name: &str) -> Option<OneServer> {
        Config::one_server(&self.named()?, name).ok()
    }

    /// Its file, if it is named or here.
    fn named(&self) -> Option<PathBuf> {
        let here = || Some(PathBuf::from("bartizan.toml")).filter(|here| here.is_file());
        if self.store.is_some() { None } else { self.config.clone().or_else(here) }
    }

    fn find(&self) -> Result<(PathBuf, MasterKey), Failure> {
        if let Some(path) = &self.store {
            return Ok((path.clone(), MasterKey::Beside));
        }
        match self.named() {
            Some(file) => {
                let places = Config::places(&file)?;
                let key = places.store_key.as_ref().map(bartizan_config::Secret::expose);
                Ok((places.store.ok_or_else(nowhere)?, MasterKey::of(key, places.store_keyring.as_ref())))
            }
            None => common::home().map(|home| (home.join("state.db"), MasterKey::Beside)),
        }
    }

    /// Where browsers find the gateway of this configuration, or of one that says nothing of that.
    pub(crate) fn public(&self) -> Result<String, Failure> {
        Ok(self.known_public()?.unwrap_or_else(|| "http://127.0.0.1:8484".to_owned()))
    }

    /// Where browsers find the gateway, if there is a configuration, which says so.
    pub(crate) fn known_public(&self) -> Result<Option<String>, Failure> {
        Ok(self.named().map(|file| Config::public_url(&file)).transpose()?)
    }

    /// Whether people can sign in where this configuration is in force; also if nothing says so.
    pub(crate) fn has_sign_in(&self) -> bool {
        self.named().is_none_or(|file| Config::names(&file, "sign_in") != Some(false))
    }

    /// Who is in which group, as the configuration says.
    pub(crate) fn roles(&self) -> Result<Roles, Failure> {
        let here = Some(PathBuf::from("bartizan.toml")).filter(|here| here.is_file());
        let file = self.config.clone().or(here.filter(|_| self.store.is_none()));
        let config = match file {
            Some(file) => Config::load(&file)?.0,
            None => common::user_config(None)?,
        };
        Ok(config.settings.policies.map(|policies| policies.roles().clone()).unwrap_or_default())
    }

    /// Does `work` with the store, which has to be there unless it is `made`.
    pub(crate) fn with<T>(
        &self,
        made: bool,
        work: impl AsyncFnOnce(&Store) -> Result<T, StoreError>,
    ) -> Result<T, Failure> {
        self.with_all(made, async |store| work(store).await.map_err(failure))
    }

    /// The same for work that fails in other ways as well.
    pub(crate) fn with_all<T>(
        &self,
        made: bool,
        work: impl AsyncFnOnce(&Store) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        let (path, key) = self.find()?;
        if !made && !path.exists() {
            return Err(Failure::incomplete(format!("there is nothing yet: no database {}", path.display())));
        }
        common::block_on_one(async {
            let store = Store::open_with(&path, key).await.map_err(failure)?;
            let done = work(&store).await;
            store.close().await;
            done
        })
    }
}

pub(crate) fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
}

/// What is done here, as the log of a gateway will say it.
pub(crate) fn change(now: Timestamp) -> Change {
    Change { by: format!("uid:{}", rustix::process::getuid().as_raw()), at: now.0 }
}

fn nowhere() -> Failure {
    Failure::usage("nothing says where the keys are: set `path` in [store], or HOME or BARTIZAN_HOME")
}

pub(crate) fn failure(error: StoreError) -> Failure {
    match error {
        StoreError::Seal(SealError::Keyring { error: ref why, .. }) if *why != KeyringError::NotBuilt => {
            Failure::incomplete(error)
        }
        StoreError::Unknown { .. }
        | StoreError::State(_)
        | StoreError::Exposed(_)
        | StoreError::Linked(_)
        | StoreError::Unwritable { .. }
        | StoreError::Seal(_)
        | StoreError::Full { .. }
        | StoreError::Newer { .. } => Failure::usage(error),
        StoreError::Busy(_) => Failure::incomplete(error),
        _ => Failure::ours(error),
    }
}
