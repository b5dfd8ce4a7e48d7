//! Files with secrets and certificates: who may read them, and whether they have changed.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// What tells that one of some files is another than before. A rename over it changes the inode, a
/// write in place time or length.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Stamp(Vec<Option<[u64; 5]>>);

impl Stamp {
    pub(crate) fn of(paths: impl IntoIterator<Item = impl AsRef<Path>>) -> Self {
        let stamp = |path: &Path| {
            let metadata = std::fs::metadata(path).ok()?;
            let (seconds, nanos) = (metadata.mtime(), metadata.mtime_nsec());
            Some([
                metadata.dev(),
                metadata.ino(),
                metadata.len(),
                seconds.cast_unsigned(),
                nanos.cast_unsigned(),
            ])
        };
        Self(paths.into_iter().map(|path| stamp(path.as_ref())).collect())
    }
}

/// Whether more than the owner and the group may read it.
pub(crate) fn is_open_to_others(metadata: &Metadata) -> bool {
    metadata.mode() & 0o004 != 0
}
