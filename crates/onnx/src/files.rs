//! The files of a model: read as a whole, within limits, and held to a digest.

use std::fs::File;
use std::io::{ErrorKind, Read};
use std::path::Path;

use crate::{Digest, Problem};

/// The largest `tokenizer.json`: those of 250,000 words have 17 MB.
const MOST_TOKENIZER: u64 = 64 << 20;
/// The largest `config.json`.
const MOST_CONFIG: u64 = 1 << 20;

/// What is in the folder of a model.
pub(crate) struct Files {
    pub(crate) model: Vec<u8>,
    pub(crate) tokenizer: Vec<u8>,
    pub(crate) config: Option<Vec<u8>>,
}

impl Files {
    /// Reads them, if they are those of the digest.
    pub(crate) fn read(folder: &Path, digest: &Digest, most_model: u64) -> Result<Files, Problem> {
        let model = needed(&folder.join(MODEL), most_model)?;
        let tokenizer = needed(&folder.join(TOKENIZER), MOST_TOKENIZER)?;
        let config = read(&folder.join(CONFIG), MOST_CONFIG)?;
        let all: Vec<(&str, &[u8])> = [(MODEL, &model), (TOKENIZER, &tokenizer)]
            .into_iter()
            .chain(config.as_ref().map(|config| (CONFIG, config)))
            .map(|(name, content)| (name, content.as_slice()))
            .collect();
        let found = Digest::of(&all);
        if found != *digest {
            return Err(Problem::OtherDigest { found });
        }
        Ok(Files { model, tokenizer, config })
    }
}

const MODEL: &str = "model.onnx";
const TOKENIZER: &str = "tokenizer.json";
const CONFIG: &str = "config.json";

fn needed(path: &Path, most: u64) -> Result<Vec<u8>, Problem> {
    read(path, most)?.ok_or_else(|| Problem::File { path: path.to_owned(), why: "there is no such file".to_owned() })
}

/// All of a file; nothing if there is none.
fn read(path: &Path, most: u64) -> Result<Option<Vec<u8>>, Problem> {
    let failed = |why: String| Problem::File { path: path.to_owned(), why };
    // A pipe would be waited for.
    match std::fs::metadata(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(error.to_string())),
        Ok(found) if !found.is_file() => return Err(failed("it is no file".to_owned())),
        Ok(found) if found.len() > most => return Err(Problem::TooLarge { path: path.to_owned(), most }),
        Ok(_) => {}
    }
    let file = File::open(path).map_err(|error| failed(error.to_string()))?;
    let mut content = Vec::new();
    // It may grow meanwhile.
    file.take(most.saturating_add(1)).read_to_end(&mut content).map_err(|error| failed(error.to_string()))?;
    if content.len() as u64 > most {
        return Err(Problem::TooLarge { path: path.to_owned(), most });
    }
    Ok(Some(content))
}
