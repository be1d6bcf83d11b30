//! Which of the two real disks suits a folder.

use std::path::Path;
use std::sync::Arc;

use super::{Disk, MappedDisk, OsDisk, host};

/// The disk that suits a folder, which need not exist yet (then what stands above it decides): [`MappedDisk`] where
/// an allocated block can be written without further room (ext4, XFS, tmpfs, ramfs), [`OsDisk`] everywhere else:
/// on btrfs, ZFS, overlay, NFS, FUSE, CIFS and 9p, on what is unknown, and where the system will not say.
///
/// ```
/// # let folder = tempfile::tempdir()?;
/// # use sawlog::{Options, Store};
/// use sawlog::disk::{Disk, default_for};
///
/// let disk = default_for(folder.path());
/// println!("{disk:?} on {}", disk.describe(folder.path())?.file_system);
/// // A store that is given none takes the same one.
/// let store = Store::open(folder.path(), Options::new().segment_bytes(1 << 16))?;
/// assert!(!disk.list(folder.path())?.is_empty());
/// # store.close()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use]
pub fn default_for(dir: &Path) -> Arc<dyn Disk> {
    if host::promises_by_allocating(dir) { Arc::new(MappedDisk::new()) } else { Arc::new(OsDisk::new()) }
}
