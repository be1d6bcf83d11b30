//! Signals that ask for the end: the first one for an orderly end, the second one for one at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

use crate::failure::{Failure, Result};

/// How often somebody who waits for something else looks whether the end was asked for.
pub(crate) const EVERY: Duration = Duration::from_millis(100);

/// Whether the end was asked for.
#[derive(Clone, Debug)]
pub(crate) struct Interrupt(Arc<AtomicBool>);

impl Interrupt {
    /// Listens from now on.
    pub(crate) fn listen() -> Result<Interrupt> {
        let asked = Arc::new(AtomicBool::new(false));
        for signal in [SIGINT, SIGTERM, SIGHUP] {
            let at_once = signal_hook::flag::register_conditional_shutdown(signal, 130, Arc::clone(&asked));
            at_once
                .and_then(|_| signal_hook::flag::register(signal, Arc::clone(&asked)))
                .map_err(|e| Failure::Broken(format!("listening for signals: {e}")))?;
        }
        Ok(Interrupt(asked))
    }

    pub(crate) fn is_asked(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    /// The failure that ends a command, once it was asked for.
    pub(crate) fn check(&self) -> Result<()> {
        if self.is_asked() { Err(Failure::Interrupted) } else { Ok(()) }
    }
}
