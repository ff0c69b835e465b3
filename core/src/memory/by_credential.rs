//! Knowledge by credential: nearly always about a single one.

use super::CredentialMemory;

/// Knowledge by the identity of a credential. A map keeps room for eleven from the first one on.
#[derive(Clone, Debug, Default)]
pub(super) struct ByCredential(Vec<(String, CredentialMemory)>);

impl ByCredential {
    /// What is known of this credential.
    pub(super) fn get(&self, id: &str) -> Option<&CredentialMemory> {
        self.0.iter().find(|(known, _)| known == id).map(|(_, known)| known)
    }

    /// What is known of this credential, from now on.
    pub(super) fn entry(&mut self, id: &str) -> &mut CredentialMemory {
        let at = self.0.iter().position(|(known, _)| known == id).unwrap_or_else(|| {
            self.0.reserve_exact(1);
            self.0.push((id.to_owned(), CredentialMemory::default()));
            self.0.len() - 1
        });
        &mut self.0[at].1
    }

    /// What is known of each.
    pub(super) fn values(&self) -> impl Iterator<Item = &CredentialMemory> {
        self.0.iter().map(|(_, known)| known)
    }

    /// What is known of each.
    pub(super) fn values_mut(&mut self) -> impl Iterator<Item = &mut CredentialMemory> {
        self.0.iter_mut().map(|(_, known)| known)
    }

    /// Each, and what is known of it.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &CredentialMemory)> {
        self.0.iter().map(|(id, known)| (id.as_str(), known))
    }

    /// Each, and what is known of it.
    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = (&str, &mut CredentialMemory)> {
        self.0.iter_mut().map(|(id, known)| (id.as_str(), known))
    }

    /// Forgets all that do not meet the condition.
    pub(super) fn retain(&mut self, condition: impl Fn(&str, &CredentialMemory) -> bool) {
        self.0.retain(|(id, known)| condition(id, known));
        self.0.shrink_to_fit();
    }
}
