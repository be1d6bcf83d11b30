//! tmp
use crate::clock::Timestamp;
use crate::disk::Disk;
use crate::error::Result;
use std::path::Path;
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct JavaCheckpoint {
    pub(crate) physic: Timestamp,
    pub(crate) logics: Timestamp,
    pub(crate) index: Timestamp,
}
impl JavaCheckpoint {
    pub(crate) fn load(_d: &dyn Disk, _p: &Path) -> Result<Option<JavaCheckpoint>> {
        Ok(None)
    }
    pub(crate) fn save(&self, _d: &dyn Disk, _p: &Path) -> Result<()> {
        Ok(())
    }
}
