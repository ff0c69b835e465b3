//! The clients of the token endpoint.

use jiff::Timestamp;

use super::{Model, UnknownOwner};
use crate::client::{Client, Grant, NewClient};
use crate::journal::Call;
use crate::reply::Reply;

impl Model {
    /// Registers a client, in place of the one that had its id; that one's tokens stay journaled.
    pub fn add_client(&mut self, new: NewClient) {
        let replaced = self.clients.insert(new.client_id.clone(), Client::registered(new));
        self.retired.extend(replaced.iter().flat_map(Client::tokens).cloned());
    }

    /// Gives a client another secret; its tokens stay.
    ///
    /// # Errors
    /// No client has this id.
    pub fn change_client_secret(&mut self, client_id: &str, client_secret: &str) -> Result<(), UnknownOwner> {
        let client = self.clients.get_mut(client_id).ok_or_else(|| UnknownOwner(client_id.to_owned()))?;
        client.client_secret = client_secret.to_owned();
        Ok(())
    }

    pub(super) fn grant(&mut self, call: &Call, now: Timestamp) -> Result<(Reply, String), Reply> {
        let asked = Grant::read(&call.parameters, &call.headers)?;
        let client = self.clients.get_mut(&asked.client_id);
        let unknown = || Reply::oauth_failure(401, "invalid_client", "A valid OAuth client could not be found");
        client.ok_or_else(unknown)?.grant(&asked, &self.switches, now, &mut self.mint)
    }
}
