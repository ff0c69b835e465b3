//! The Helm chart and the manifests made from it: what they render, and what a real API server makes of them.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod files;
mod gitops;
mod helm;
mod life;
mod policy;
mod release;
mod rendering;
mod rights;
mod second;
mod shards;
#[path = "../support/mod.rs"]
mod support;
mod thief;
mod values;
