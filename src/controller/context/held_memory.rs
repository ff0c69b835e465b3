//! The memory of a resource while a pass holds it.

use super::Context;
use std::ops::{Deref, DerefMut};
use syniverse_token_core::memory::{Memory, PackedMemory};
use syniverse_token_core::queue::ObjectName;
use syniverse_token_core::time::Moment;
use tokio::sync::OwnedMutexGuard;

/// The memory of a resource while a pass holds it. It is kept however the pass ends: a response that is not recorded yet
/// is nowhere else.
pub struct HeldMemory {
    kept: OwnedMutexGuard<Option<PackedMemory>>,
    memory: Memory,
    since: Moment,
}

impl Context {
    /// The memory of the resource `name` with this UID, once no other pass holds it.
    pub async fn hold_memory(&self, name: &ObjectName, uid: &str) -> HeldMemory {
        let mut kept = self.memory(uid).lock_owned().await;
        let since = self.clock.now().mono;
        let memory = kept.take().map_or_else(|| self.new_memory(name, since), PackedMemory::unpack);
        HeldMemory { kept, memory, since }
    }
}

impl Deref for HeldMemory {
    type Target = Memory;

    fn deref(&self) -> &Memory {
        &self.memory
    }
}

impl DerefMut for HeldMemory {
    fn deref_mut(&mut self) -> &mut Memory {
        &mut self.memory
    }
}

impl Drop for HeldMemory {
    /// Also runs when the pass is aborted or panics.
    fn drop(&mut self) {
        let memory = std::mem::replace(&mut self.memory, Memory::new(self.since));
        *self.kept = Some(memory.pack());
    }
}
