//! Blobs named by their digests, and the tar files they are packed in.

use anyhow::Context;
use jiff::Timestamp;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use tar::{Builder, EntryType, Header};

/// What an archive holds, by digest in hexadecimal.
#[derive(Default)]
pub struct Blobs(BTreeMap<String, Vec<u8>>);

impl Blobs {
    /// Adds a blob and returns its descriptor.
    pub fn add(&mut self, media_type: &str, bytes: Vec<u8>) -> Value {
        let digest = hex_digest(&bytes);
        let descriptor = json!({
            "mediaType": format!("application/vnd.oci.image.{media_type}"),
            "digest": format!("sha256:{digest}"),
            "size": bytes.len(),
        });
        self.0.insert(digest, bytes);
        descriptor
    }

    /// An OCI image layout in one tar file, with `index` as its way in.
    pub fn layout(&self, index: &Value, mtime: Timestamp) -> anyhow::Result<Vec<u8>> {
        let mut tar = Builder::new(Vec::new());
        let mut file = |path: &str, bytes: &[u8]| {
            tar.append_data(&mut header(EntryType::Regular, 0o644, bytes.len(), mtime), path, bytes)
        };
        file("oci-layout", br#"{"imageLayoutVersion":"1.0.0"}"#)?;
        file("index.json", &serde_json::to_vec(index)?)?;
        for (digest, bytes) in &self.0 {
            file(&format!("blobs/sha256/{digest}"), bytes)?;
        }
        Ok(tar.into_inner()?)
    }
}

/// SHA-256 in hexadecimal.
pub fn hex_digest(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The tar file of a folder: in the order of names, owned by root.
pub fn layer(folder: &Path, mtime: Timestamp) -> anyhow::Result<Vec<u8>> {
    let mut tar = Builder::new(Vec::new());
    append(&mut tar, folder, Path::new(""), mtime)?;
    Ok(tar.into_inner()?)
}

fn append(tar: &mut Builder<Vec<u8>>, folder: &Path, below: &Path, mtime: Timestamp) -> anyhow::Result<()> {
    let entries = fs::read_dir(folder).with_context(|| format!("{} cannot be read", folder.display()))?;
    let mut entries = entries.collect::<Result<Vec<_>, _>>()?;
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let path = below.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            tar.append_data(&mut header(EntryType::Directory, 0o755, 0, mtime), &path, std::io::empty())?;
            append(tar, &entry.path(), &path, mtime)?;
        } else {
            let bytes = fs::read(entry.path())?;
            let mode = if entry.metadata()?.permissions().mode() & 0o100 == 0 { 0o644 } else { 0o755 };
            tar.append_data(&mut header(EntryType::Regular, mode, bytes.len(), mtime), &path, &bytes[..])?;
        }
    }
    Ok(())
}

fn header(kind: EntryType, mode: u32, size: usize, mtime: Timestamp) -> Header {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_size(size as u64);
    header.set_mtime(mtime.as_second().unsigned_abs());
    header.set_uid(0);
    header.set_gid(0);
    header
}
