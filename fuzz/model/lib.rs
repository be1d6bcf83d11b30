//! What the fuzz targets do with their bytes; `tests/behaviour/fuzzed.rs` runs the same over known inputs and chance.
//!
//! - [`ops::run`]: operations, faults, deaths and power cuts, held against a plain list of what was appended.
//! - [`damaged::run`]: a sound store whose files are damaged, opened, read, closed and opened again; an [`Area`] says
//!   which files.

pub mod damaged;
mod input;
pub mod ops;

pub use damaged::Area;
