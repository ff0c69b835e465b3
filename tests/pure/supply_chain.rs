//! What the public workflows and the image are made from cannot change unseen, and who may sign compiles nothing.

use serde_json::Value;
use std::fs;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// What compiles or runs what a dependency brings, in the steps of a job.
const COMPILERS: [&str; 7] = ["cargo", "rustc", "make ", "tools/", "go ", "docker build", "apt-get"];

/// The workflows by file name.
fn workflows() -> Vec<(String, Value)> {
    let folder = fs::read_dir(format!("{ROOT}/.github/workflows")).unwrap();
    let read = folder.map(|file| {
        let path = file.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        (name, serde_saphyr::from_str(&fs::read_to_string(path).unwrap()).unwrap())
    });
    read.collect()
}

fn jobs(workflow: &Value) -> impl Iterator<Item = (&String, &Value)> {
    workflow["jobs"].as_object().unwrap().iter()
}

fn steps(job: &Value) -> impl Iterator<Item = &Value> {
    job["steps"].as_array().unwrap().iter()
}

fn is_hex(text: &str, length: usize) -> bool {
    text.len() == length && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

#[test]
fn every_action_is_pinned_by_its_commit() {
    let workflows = workflows();
    let all = workflows.iter().flat_map(|(_, workflow)| jobs(workflow)).flat_map(|(_, job)| steps(job));
    let used: Vec<_> = all.filter_map(|step| step["uses"].as_str()).collect();
    assert!(used.len() > 10, "{used:?}");
    for action in used {
        assert!(action.split_once('@').is_some_and(|(_, commit)| is_hex(commit, 40)), "{action}");
    }
}

#[test]
fn every_image_is_pinned_by_its_digest_and_both_builds_use_the_same_one() {
    let dockerfile = fs::read_to_string(format!("{ROOT}/Dockerfile")).unwrap();
    let bases = dockerfile.lines().filter_map(|line| line.strip_prefix("FROM ")?.split(' ').next());
    let mut images: Vec<_> = bases.filter(|base| *base != "scratch").map(str::to_owned).collect();
    for (_, workflow) in workflows() {
        images.extend(jobs(&workflow).filter_map(|(_, job)| job["container"].as_str().map(str::to_owned)));
    }
    assert_eq!(images.len(), 2);
    assert_eq!(images[0], images[1]);
    assert!(images[0].rsplit_once("@sha256:").is_some_and(|(_, digest)| is_hex(digest, 64)), "{images:?}");
}

#[test]
fn the_image_is_built_from_every_member_of_the_workspace() {
    let [manifest, context] =
        ["Cargo.toml", ".dockerignore"].map(|file| fs::read_to_string(format!("{ROOT}/{file}")).unwrap());
    let members = manifest.lines().find_map(|line| line.strip_prefix("members = ")).unwrap();
    let members: Vec<&str> = members.split('"').skip(1).step_by(2).filter(|member| *member != ".").collect();
    assert!(members.contains(&"core"), "{members:?}");
    for member in members {
        assert!(context.lines().any(|line| line == format!("!{member}")), "{member} is not in the build's context");
    }
}

#[test]
fn nobody_has_rights_beyond_reading_unless_a_job_names_them() {
    for (name, workflow) in workflows() {
        assert_eq!(workflow["permissions"], serde_json::json!({"contents": "read"}), "{name}");
    }
}

#[test]
fn who_has_rights_beyond_reading_compiles_nothing() {
    let mut mighty = 0;
    for (_, workflow) in workflows() {
        for (name, job) in jobs(&workflow).filter(|(_, job)| !job["permissions"].is_null()) {
            mighty += 1;
            for step in steps(job) {
                let run = step["run"].as_str().unwrap_or_default();
                let action = step["uses"].as_str().unwrap_or_default();
                assert!(COMPILERS.iter().all(|compiler| !run.contains(compiler)), "{name}: {run}");
                assert!(
                    !action.starts_with("actions/checkout"),
                    "{name} has the source, and needs no more than artifacts"
                );
            }
        }
    }
    assert_eq!(mighty, 3, "publish, sign and release");
}

#[test]
fn a_checkout_leaves_no_credential_behind() {
    for (name, workflow) in workflows() {
        for step in jobs(&workflow).flat_map(|(_, job)| steps(job)) {
            let is_checkout = step["uses"].as_str().is_some_and(|action| action.starts_with("actions/checkout"));
            assert!(!is_checkout || step["with"]["persist-credentials"] == false, "{name}: {step}");
        }
    }
}
