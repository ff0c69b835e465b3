//! The model with a clock, behind a lock.

use std::sync::{Mutex, PoisonError};

use jiff::Timestamp;
use tokio::sync::watch;

use crate::journal::Journal;
use crate::model::Model;

/// All issuers at the present time: shared by the sockets, the control endpoint and the test that started it.
#[derive(Debug)]
pub(crate) struct Issuers {
    model: Mutex<Model>,
    changed: watch::Sender<()>,
}

impl Issuers {
    pub(crate) fn new(model: Model) -> Self {
        Self { model: Mutex::new(model), changed: watch::Sender::new(()) }
    }

    /// Changes the model at the present instant; the lock makes the journal's instants follow its order.
    pub(crate) fn change<T>(&self, change: impl FnOnce(&mut Model, Timestamp) -> T) -> T {
        let result = {
            let mut model = self.model.lock().unwrap_or_else(PoisonError::into_inner);
            change(&mut model, Timestamp::now())
        };
        self.changed.send_replace(());
        result
    }

    pub(crate) fn journal(&self) -> Journal {
        self.model.lock().unwrap_or_else(PoisonError::into_inner).journal()
    }

    /// If the messaging API would accept this token now.
    pub(crate) fn accepts(&self, token: &str) -> bool {
        self.journal().token(token).is_some_and(|token| token.is_live(Timestamp::now()))
    }

    /// Tells of every later change.
    pub(crate) fn changes(&self) -> watch::Receiver<()> {
        self.changed.subscribe()
    }
}
