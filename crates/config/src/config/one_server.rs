//! What a file says of one server, whatever else is right or wrong with it.

use std::path::Path;

use super::{Beginning, Config, Environment, parse, unusable};
use crate::diagnostic::{Diagnostic, Diagnostics, Source};
use crate::expand::expand;
use crate::file::File;
use crate::problems::Problems;
use crate::profiles;
use crate::read::read;
use crate::servers::{Server, servers};
use crate::tree;

/// What a file says of one server.
#[derive(Debug, Clone)]
pub struct OneServer {
    /// It; none if there is none of that name, or it is switched off.
    pub server: Option<Server>,
    /// The names of all that there are.
    pub names: Vec<String>,
    /// What may be wrong with it.
    pub warnings: Vec<Diagnostic>,
}

impl Config {
    /// What a file says of one server, and nothing else: whoever only deals with that one needs no secrets of others, and
    /// mistakes elsewhere in the file are for whoever starts the gateway.
    ///
    /// # Errors
    /// If it cannot be read, or what is wrong with what it says of that server.
    pub fn one_server(path: &Path, server: &str) -> Result<OneServer, Diagnostics> {
        let Beginning { name, text, environment, .. } = Beginning::of(path)?;
        read_server(&text, &name, server, &environment)
    }
}

fn read_server(text: &str, name: &str, server: &str, environment: &Environment) -> Result<OneServer, Diagnostics> {
    let mut root = parse(text, name)?;
    let source = Source::new(name, text, &root);
    let hidden: Vec<_> = source.secrets().collect();
    let names = tree::keys(&root, &["server"]);
    tree::keep_only(&mut root, &["server", "profile", "sandbox"]);
    if let Some(all) = tree::entry(&mut root, "server") {
        tree::keep_only(all, &[server]);
    }
    let mut problems = Problems::default();
    for place in hidden {
        problems.hide(text.get(place).unwrap_or_default());
    }
    expand(&mut root, environment, &mut problems);
    profiles::apply(&mut root, &mut problems);
    let file: Option<File> = read(&root, &[], &mut problems);
    let found = file.map(|file| servers(file.server, &root, environment, &mut problems));
    let warnings = problems.into_result(&source)?;
    let server = found.ok_or_else(|| unusable(name))?.remove(server);
    Ok(OneServer { server, names, warnings })
}
