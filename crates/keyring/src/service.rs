//! The Secret Service: each use is a connection of its own, on a thread of its own.

use std::collections::HashMap;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use secret_service::{Collection, EncryptionType, Error, Item, SecretService};
use tokio::runtime::{Handle, RuntimeFlavor};
use zbus::DBusError;
use zeroize::Zeroizing;

use crate::{KeyringError, Kind, MAX_BYTES, Name, PATIENCE, Result};

/// What an item is called, and of which kind it is.
const SERVICE: &str = "service";
const ACCOUNT: &str = "account";

/// What all of them are.
const TEXT: &str = "text/plain";

/// Whether there is a keyring to speak to, as far as this program knows.
pub(crate) const IS_BUILT: bool = true;

/// The end of a use that is over before whoever waits gives up.
const MARGIN: Duration = Duration::from_millis(500);

pub(crate) fn read(kind: Kind, name: &Name) -> Result<Option<Zeroizing<String>>> {
    let name = name.clone();
    with_default(async move |keyring| content(keyring, kind, &name).await)
}

pub(crate) fn write(kind: Kind, name: &Name, secret: &str) -> Result<()> {
    let (name, secret) = (name.clone(), Zeroizing::new(secret.to_owned()));
    with_default(async move |keyring| {
        match item(keyring, kind, &name).await? {
            // In its place: a second item of the same name would be one too many.
            Some(item) => item.set_secret(secret.as_bytes(), TEXT).await.map_err(failed)?,
            None => {
                let (label, attributes) = (kind.label(&name), attributes(kind, &name));
                keyring.create_item(&label, attributes, secret.as_bytes(), true, TEXT).await.map_err(failed)?;
            }
        }
        match content(keyring, kind, &name).await? {
            Some(kept) if *kept == *secret => Ok(()),
            _ => Err(KeyringError::NotKept(name)),
        }
    })
}

pub(crate) fn remove(kind: Kind, name: &Name) -> Result<bool> {
    let name = name.clone();
    with_default(async move |keyring| {
        let Some(item) = item(keyring, kind, &name).await? else { return Ok(false) };
        item.delete().await.map_err(failed)?;
        Ok(true)
    })
}

pub(crate) fn list(kind: Kind) -> Result<Vec<Name>> {
    with_default(async move |keyring| {
        let items = keyring.search_items([(SERVICE, kind.service())].into()).await.map_err(failed)?;
        let mut names = Vec::with_capacity(items.len());
        for item in items {
            let attributes = item.get_attributes().await.map_err(failed)?;
            // What other programs put there under our name may be called anything.
            names.extend(attributes.get(ACCOUNT).and_then(|name| Name::parse(name)));
        }
        names.sort();
        names.dedup();
        Ok(names)
    })
}

/// What the one item of that name holds.
async fn content(keyring: &Collection<'_>, kind: Kind, name: &Name) -> Result<Option<Zeroizing<String>>> {
    let Some(item) = item(keyring, kind, name).await? else { return Ok(None) };
    // Some keyrings lock single items.
    if item.is_locked().await.map_err(failed)? {
        return Err(KeyringError::Locked);
    }
    let bytes = Zeroizing::new(item.get_secret().await.map_err(failed)?);
    let text = std::str::from_utf8(&bytes).ok().filter(|text| text.len() <= MAX_BYTES);
    text.map(|text| Some(Zeroizing::new(text.to_owned()))).ok_or_else(|| KeyringError::Unfit(name.clone()))
}

async fn item<'a>(keyring: &'a Collection<'_>, kind: Kind, name: &Name) -> Result<Option<Item<'a>>> {
    let mut items = keyring.search_items(attributes(kind, name)).await.map_err(failed)?;
    let item = items.pop();
    if items.is_empty() { Ok(item) } else { Err(KeyringError::Several(name.clone())) }
}

fn attributes(kind: Kind, name: &Name) -> HashMap<&'static str, &str> {
    HashMap::from([(SERVICE, kind.service()), (ACCOUNT, name.as_str())])
}

/// Does `work` with the default keyring, which has to be unlocked.
///
/// On a thread with a runtime of its own: whoever asks may be in one already, or in none. The thread is
/// given up with what it waits for if that takes too long, and then ends by itself.
fn with_default<T: Send + 'static>(work: impl AsyncFnOnce(&Collection<'_>) -> Result<T> + Send + 'static) -> Result<T> {
    let (done, wait) = mpsc::sync_channel(1);
    let begun = thread::Builder::new().name("keyring".to_owned()).spawn(move || {
        // Whoever waited may have given up.
        done.send(on_this_thread(work)).ok();
    });
    begun.map_err(|error| KeyringError::Failed(error.to_string()))?;
    let answer = || wait.recv_timeout(PATIENCE + MARGIN).unwrap_or(Err(KeyringError::Slow));
    match Handle::try_current().map(|handle| handle.runtime_flavor()) {
        // What else this thread would have done goes on elsewhere.
        Ok(RuntimeFlavor::MultiThread) => tokio::task::block_in_place(answer),
        _ => answer(),
    }
}

fn on_this_thread<T>(work: impl AsyncFnOnce(&Collection<'_>) -> Result<T>) -> Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| KeyringError::Failed(error.to_string()))?;
    let all = async {
        // Encrypted between the two ends, as others may be allowed to watch the bus.
        let service = SecretService::connect(EncryptionType::Dh).await.map_err(failed)?;
        let keyring = service.get_default_collection().await.map_err(|error| match error {
            Error::NoResult => KeyringError::NoDefault,
            other => failed(other),
        })?;
        if keyring.is_locked().await.map_err(failed)? {
            return Err(KeyringError::Locked);
        }
        work(&keyring).await
    };
    runtime.block_on(async { tokio::time::timeout(PATIENCE, all).await.unwrap_or(Err(KeyringError::Slow)) })
}

/// What went wrong. Of what the keyring said it has the name of an error at most, as the rest may quote anything.
fn failed(error: Error) -> KeyringError {
    match error {
        Error::Locked | Error::Prompt | Error::PromptDisconnected => KeyringError::Locked,
        Error::Unavailable => KeyringError::Unreachable("there is no session bus".to_owned()),
        Error::NoResult => KeyringError::Failed("it has nothing to answer".to_owned()),
        Error::Crypto(_) => KeyringError::Failed("what it says does not decrypt".to_owned()),
        Error::Zbus(error) => on_the_bus(&error),
        Error::ZbusFdo(error) => by_name(error.name().as_str()),
        _ => KeyringError::Failed("what it says is not as the Secret Service has it".to_owned()),
    }
}

fn on_the_bus(error: &zbus::Error) -> KeyringError {
    match error {
        zbus::Error::InputOutput(error) | zbus::Error::Connection(error, _) => {
            KeyringError::Unreachable(format!("the session bus: {}", error.kind()))
        }
        zbus::Error::Address(_) => KeyringError::Unreachable("the address of the session bus is none".to_owned()),
        zbus::Error::Handshake(_) => KeyringError::Unreachable("the session bus lets nobody in".to_owned()),
        zbus::Error::MethodError(name, ..) => by_name(name.as_str()),
        zbus::Error::FDO(error) => by_name(error.name().as_str()),
        _ => KeyringError::Failed("what it says is not as the bus has it".to_owned()),
    }
}

fn by_name(name: &str) -> KeyringError {
    const STANDARD: &str = "org.freedesktop.DBus.Error.";
    match name.strip_prefix(STANDARD) {
        // Nothing on the bus keeps secrets, or what does cannot be started or is gone.
        Some("ServiceUnknown" | "NameHasNoOwner" | "NoReply" | "Disconnected" | "Timeout") => {
            KeyringError::Unreachable("nothing on the session bus keeps secrets".to_owned())
        }
        Some(name) if name.starts_with("Spawn.") => {
            KeyringError::Unreachable("what keeps secrets cannot be started".to_owned())
        }
        _ if name == "org.freedesktop.Secret.Error.IsLocked" => KeyringError::Locked,
        _ => KeyringError::Failed(name.to_owned()),
    }
}
