//! Whether something looks at the fleet's remote while a command waits.

use std::sync::{Arc, Mutex, PoisonError};

/// What goes on beside the command.
#[derive(Clone, Debug, Default)]
pub(crate) struct Looking {
    fault: Arc<Mutex<Option<String>>>,
}

impl Looking {
    /// Why the last look has failed, or `None` if it has not.
    #[must_use]
    pub(crate) fn fault(&self) -> Option<String> {
        self.fault.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(in crate::bus) fn note(&self, fault: Option<String>) {
        *self.fault.lock().unwrap_or_else(PoisonError::into_inner) = fault;
    }
}
