//! The files of a pipeline: one, or the `*.toml` of a folder in the order of their names.

use super::diagnostic::SourceFile;
use super::tree::FILE_BYTES_MAX;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use thiserror::Error;

/// What runs when no file is named: the sample log that comes with the program, to JSON lines.
const DEFAULT: &str = include_str!("../../pipelines/default.toml");

/// Most files of a folder.
pub(super) const FILES_MAX: usize = 256;

#[derive(Debug, Error)]
pub enum FilesError {
    #[error("cannot read {path}: {source}; name a pipeline file or a folder of them")]
    Read { path: PathBuf, source: io::Error },
    #[error("{path} holds no pipeline: no file there ends in `.toml`")]
    None { path: PathBuf },
    #[error("{path} holds more than {FILES_MAX} files that end in `.toml`; a pipeline has fewer")]
    Many { path: PathBuf },
    #[error("{path} is no text in UTF-8 (byte {at}); a pipeline file is TOML")]
    Text { path: PathBuf, at: usize },
}

/// The pipeline that runs when none is named.
pub fn default_file() -> SourceFile {
    SourceFile { name: "(built-in pipeline)".into(), text: DEFAULT.into() }
}

/// Reads the file, or the `*.toml` of the folder.
///
/// # Errors
/// Names the path and what to name instead.
pub fn read_files(path: &Path) -> Result<Vec<SourceFile>, FilesError> {
    let unread = |source| FilesError::Read { path: path.into(), source };
    if !fs::metadata(path).map_err(unread)?.is_dir() {
        return Ok(vec![read_file(path)?]);
    }
    let mut paths = Vec::new();
    for entry in fs::read_dir(path).map_err(unread)? {
        let entry = entry.map_err(unread)?.path();
        let hidden = entry.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
        if !hidden && entry.extension().is_some_and(|extension| extension == "toml") {
            paths.push(entry);
        }
    }
    paths.sort();
    match paths.len() {
        0 => Err(FilesError::None { path: path.into() }),
        1..=FILES_MAX => paths.iter().map(|path| read_file(path)).collect(),
        _ => Err(FilesError::Many { path: path.into() }),
    }
}

fn read_file(path: &Path) -> Result<SourceFile, FilesError> {
    let mut bytes = Vec::new();
    // One byte past the limit tells a file that is too large from one that just fits.
    File::open(path)
        .and_then(|file| file.take(FILE_BYTES_MAX as u64 + 1).read_to_end(&mut bytes))
        .map_err(|source| FilesError::Read { path: path.into(), source })?;
    let text = String::from_utf8(bytes)
        .map_err(|error| FilesError::Text { path: path.into(), at: error.utf8_error().valid_up_to() })?;
    Ok(SourceFile { name: path.display().to_string(), text })
}
