//! Why a command did not do what was asked, and the exit code for it.

use std::fmt;
use std::path::Path;

/// See the file's text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    /// The command line, or the disk that it names, cannot do: the user can change it.
    Usage(String),
    /// The run failed.
    Broken(String),
    /// The run ended, and something acknowledged was not as it should be.
    Unsound(String),
    /// The store is damaged.
    Damaged(String),
    /// The store is locked, cannot be read, or is none.
    Unreadable(String),
    /// Nobody reads what is printed any more, such as behind `| head`: no failure at all.
    Unheard,
    /// The user, or the system, asked for the end.
    Interrupted,
}

pub(crate) type Result<T> = std::result::Result<T, Failure>;

impl Failure {
    /// What the process answers; the shell's own custom for the last (128 + SIGINT).
    pub(crate) fn exit_code(&self) -> u8 {
        match self {
            Failure::Unheard => 0,
            Failure::Broken(_) | Failure::Unsound(_) | Failure::Damaged(_) => 1,
            Failure::Usage(_) => 2,
            Failure::Unreadable(_) => 3,
            Failure::Interrupted => 130,
        }
    }

    /// An error of the system, with what was being done.
    pub(crate) fn io(doing: &str, path: &Path, error: &std::io::Error) -> Failure {
        Failure::Broken(format!("{doing} {}: {error}", path.display()))
    }

    /// What a command that reads a store makes of an error.
    pub(crate) fn of_store(error: sawlog::Error) -> Failure {
        match &error {
            sawlog::Error::Corrupt(_) => Failure::Damaged(error.to_string()),
            sawlog::Error::InvalidOptions(_) | sawlog::Error::OutOfRange { .. } => {
                Failure::Usage(error.to_string())
            }
            _ => Failure::Unreadable(error.to_string()),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::Usage(why)
            | Failure::Broken(why)
            | Failure::Unsound(why)
            | Failure::Damaged(why)
            | Failure::Unreadable(why) => f.write_str(why),
            Failure::Unheard => f.write_str("nobody reads on"),
            Failure::Interrupted => f.write_str("interrupted"),
        }
    }
}

impl From<sawlog::Error> for Failure {
    fn from(error: sawlog::Error) -> Failure {
        match &error {
            sawlog::Error::InvalidOptions(_) | sawlog::Error::InvalidMessage(_) => {
                Failure::Usage(error.to_string())
            }
            full if full.is_full() => Failure::Usage(format!("the disk has too little room: {error}")),
            _ => Failure::Broken(error.to_string()),
        }
    }
}
