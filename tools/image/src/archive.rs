//! An OCI archive: an image of one layer for each architecture, below one index.

use crate::blobs::{Blobs, hex_digest, layer};
use crate::declared;
use anyhow::Context;
use flate2::{Compression, GzBuilder};
use jiff::Timestamp;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;

/// Packs `images`, each an `ARCH=DIR` with the rootfs in `DIR/rootfs`, and says what it packed.
pub fn write(file: &Path, name: &str, images: &[&str], created: Timestamp) -> anyhow::Result<()> {
    let (_, tag) = name.rsplit_once(':').with_context(|| format!("{name} has no tag"))?;
    let arguments = BTreeMap::from([
        ("VERSION", tag.to_owned()),
        ("REVISION", std::env::var("REVISION").context("REVISION is not set")?),
        ("CREATED", created.to_string()),
    ]);
    let config = declared::config(&arguments)?;

    let mut blobs = Blobs::default();
    let mut manifests = Vec::new();
    for image in images {
        let (architecture, dir) = image.split_once('=').with_context(|| format!("{image} is not ARCH=DIR"))?;
        let manifest = add_image(&mut blobs, architecture, &Path::new(dir).join("rootfs"), &config, created)?;
        manifests.push(manifest);
    }
    let mut index = blobs.add("index.v1+json", serde_json::to_vec(&index(manifests))?);
    println!("{name}@{}", index["digest"].as_str().unwrap_or_default());
    index["annotations"] = json!({"io.containerd.image.name": name, "org.opencontainers.image.ref.name": tag});
    std::fs::write(file, blobs.layout(&self::index(vec![index]), created)?)?;
    Ok(())
}

fn index(manifests: Vec<Value>) -> Value {
    json!({"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": manifests})
}

/// Adds the image of one architecture and returns the descriptor of its manifest.
fn add_image(
    blobs: &mut Blobs,
    architecture: &str,
    rootfs: &Path,
    config: &Value,
    created: Timestamp,
) -> anyhow::Result<Value> {
    let tar = layer(rootfs, created)?;
    let mut gzip = GzBuilder::new().write(Vec::new(), Compression::best());
    gzip.write_all(&tar)?;
    let compressed = gzip.finish()?;
    let (unpacked, packed) = (megabytes(tar.len()), megabytes(compressed.len()));
    let configuration = json!({
        "architecture": architecture,
        "os": "linux",
        "created": created.to_string(),
        "config": config,
        "rootfs": {"type": "layers", "diff_ids": [format!("sha256:{}", hex_digest(&tar))]},
        "history": [{"created": created.to_string(), "created_by": "tools/image"}],
    });
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": blobs.add("config.v1+json", serde_json::to_vec(&configuration)?),
        "layers": [blobs.add("layer.v1.tar+gzip", compressed)],
    });
    let mut descriptor = blobs.add("manifest.v1+json", serde_json::to_vec(&manifest)?);
    descriptor["platform"] = json!({"architecture": architecture, "os": "linux"});
    println!("{architecture}: {packed:.2} MB compressed, {unpacked:.2} MB unpacked");
    Ok(descriptor)
}

#[expect(clippy::cast_precision_loss, reason = "for people to read")]
fn megabytes(bytes: usize) -> f64 {
    bytes as f64 / 1e6
}
