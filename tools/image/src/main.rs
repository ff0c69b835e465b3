//! What `build` and `pack` beside this need done to an image that no image builder does:
//!
//! ```text
//! image rootfs BINARY LIBC DIR          writes DIR/rootfs, all that the image holds, and DIR/sbom.cdx.json
//! image archive FILE NAME:TAG ARCH=DIR...  packs such rootfs folders as an OCI archive, with what the Dockerfile declares
//! ```
//! Times are those of `SOURCE_DATE_EPOCH`; order, owners and modes are fixed: the same input gives the same bytes.

mod archive;
mod blobs;
mod declared;
mod rootfs;
mod sbom;

use anyhow::{Context, bail};
use jiff::Timestamp;
use std::path::Path;

fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        ["rootfs", binary, libc, dir] => {
            let dir = Path::new(dir);
            rootfs::write(Path::new(binary), &dir.join("rootfs"))?;
            sbom::write(Path::new(binary), libc, epoch()?, &dir.join("sbom.cdx.json"))
        }
        ["archive", file, name, ref images @ ..] if !images.is_empty() => {
            archive::write(Path::new(file), name, images, epoch()?)
        }
        _ => bail!("usage: image rootfs BINARY LIBC DIR | image archive FILE NAME:TAG ARCH=DIR..."),
    }
}

/// The moment that files and image bear.
fn epoch() -> anyhow::Result<Timestamp> {
    let seconds = std::env::var("SOURCE_DATE_EPOCH").context("SOURCE_DATE_EPOCH is not set")?;
    Ok(Timestamp::from_second(seconds.parse().context("SOURCE_DATE_EPOCH is no number")?)?)
}
