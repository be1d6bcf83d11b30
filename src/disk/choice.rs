//! Which of the two real disks suits a folder.

use std::path::Path;
use std::sync::Arc;

use super::{Disk, MappedDisk, OsDisk, host};

/// The disk that suits a folder, which need not exist yet (then what stands above it decides): [`MappedDisk`] where
/// an allocated block can be written without further room (ext4, XFS, tmpfs, ramfs), [`OsDisk`] everywhere else:
/// on btrfs, ZFS, overlay, NFS, FUSE, CIFS and 9p, on what is unknown, and where the system will not say.
#[must_use]
pub fn default_for(dir: &Path) -> Arc<dyn Disk> {
    if host::promises_by_allocating(dir) { Arc::new(MappedDisk::new()) } else { Arc::new(OsDisk::new()) }
}
