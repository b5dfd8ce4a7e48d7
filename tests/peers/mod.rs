//! What the product's event reader and writer are measured against and checked with: quick-xml
//! driving the same writer, and a DOM turned into a value tree, as most collectors do it.

pub(crate) mod dom;
pub(crate) mod quick;

use std::io::Read;
use std::path::{Path, PathBuf};

/// Lines of the corpus with line breaks as they are sent, or the project's own fixtures where the
/// corpus is not there; the flag says which.
pub(crate) fn events() -> (Vec<Vec<u8>>, bool) {
    let Some(file) = corpus("events.xml.lines.zst") else { return (fixtures(), false) };
    let mut lines = Vec::new();
    let compressed = std::fs::File::open(file).expect("a readable corpus");
    let mut decoder = zstd::Decoder::new(compressed).expect("a zstd file");
    decoder.read_to_end(&mut lines).expect("a whole zstd file");
    let text = String::from_utf8(lines).expect("UTF-8");
    let raw = |line: &str| line.replace("&#13;&#10;", "\r\n").into_bytes();
    (text.lines().map(raw).collect(), true)
}

/// A file of the corpus, if there is one.
pub(crate) fn corpus(name: &str) -> Option<PathBuf> {
    let folder = std::env::var_os("FOREBAY_CORPUS")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/corpus"), PathBuf::from);
    Some(folder.join(name)).filter(|path| path.exists())
}

/// Events of the golden files.
pub(crate) fn fixtures() -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/format/testdata/json");
    let files = std::fs::read_dir(folder).expect("the golden files");
    let mut paths: Vec<_> = files.map(|entry| entry.expect("a readable folder").path()).collect();
    paths.retain(|path| path.extension().is_some_and(|end| end == "xml"));
    paths.sort();
    paths.iter().map(|path| std::fs::read(path).expect("a readable file")).collect()
}
