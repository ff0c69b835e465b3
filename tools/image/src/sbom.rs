//! A CycloneDX bill of materials, from what `cargo auditable` wrote into the binary: what is shipped, not what was meant.

use anyhow::Context;
use auditable_serde::{DependencyKind, Package};
use jiff::Timestamp;
use serde_json::{Value, json};
use std::path::Path;

/// Writes the bill of `binary` to `file`. `libc` is the package URL of the C library that is linked into it.
pub fn write(binary: &Path, libc: &str, created: Timestamp, file: &Path) -> anyhow::Result<()> {
    let audit = auditable_info::audit_info_from_file(binary, Default::default())
        .with_context(|| format!("{} was not built by cargo auditable", binary.display()))?;
    let packages = &audit.packages;
    let root = packages.iter().find(|package| package.root).context("no package is the root")?;
    let shipped = || packages.iter().filter(|package| package.kind == DependencyKind::Runtime);

    let beside = [purl(ROOTS, &version_of(ROOTS)?), libc.to_owned()];
    let crates = shipped().filter(|package| !package.root).map(|package| component(&reference(package)));
    let components: Vec<Value> = crates.chain(beside.iter().map(|purl| component(purl))).collect();
    let dependencies: Vec<Value> = shipped()
        .map(|package| {
            let of_crate = package.dependencies.iter().map(|&index| &packages[index]);
            let mut on: Vec<String> = of_crate.filter(|on| on.kind == DependencyKind::Runtime).map(reference).collect();
            on.extend(beside.iter().filter(|_| package.root).cloned());
            json!({"ref": reference(package), "dependsOn": on})
        })
        .collect();
    let mut application = component(&reference(root));
    application["type"] = json!("application");
    let bill = json!({
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {"timestamp": created.to_string(), "component": application},
        "components": components,
        "dependencies": dependencies,
    });
    Ok(std::fs::write(file, serde_json::to_string_pretty(&bill)? + "\n")?)
}

/// The crate whose data is the image's bundle of CA roots.
const ROOTS: &str = "webpki-root-certs";

/// The version of a crate of this tool.
fn version_of(name: &str) -> anyhow::Result<String> {
    let after = include_str!("../Cargo.lock").split(&format!("name = \"{name}\"\nversion = \"")).nth(1);
    let version = after.and_then(|after| after.split('"').next());
    Ok(version.with_context(|| format!("{name} is not in Cargo.lock"))?.to_owned())
}

fn component(purl: &str) -> Value {
    let (package, version) = purl.rsplit_once('@').unwrap_or((purl, ""));
    let name = package.rsplit('/').next();
    let version = version.split('?').next();
    json!({"type": "library", "name": name, "version": version, "purl": purl, "bom-ref": purl})
}

fn reference(package: &Package) -> String {
    purl(&package.name, &package.version.to_string())
}

fn purl(name: &str, version: &str) -> String {
    format!("pkg:cargo/{name}@{version}")
}
