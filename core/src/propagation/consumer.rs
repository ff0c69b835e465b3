//! Who uses a token Secret, and whether a change of it is ever seen there.

use k8s_openapi::api::core::v1::{EnvFromSource, EnvVar, Pod, PodSpec, Volume, VolumeMount};

/// Annotation of Pods that the kubelet has from a file: the object only mirrors them.
const MIRROR: &str = "kubernetes.io/config.mirror";
/// Label of the Pods of a Deployment: what the name of their ReplicaSet ends with.
const TEMPLATE_HASH: &str = "pod-template-hash";

/// How the containers of a Pod use a Secret.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SecretUse {
    /// One mounts it as a volume, in which the kubelet updates the files.
    pub sees_changes: bool,
    /// One has it in an environment variable or through a `subPath`, which stay as they were when it started.
    pub is_blind: bool,
}

/// How these containers use a Secret.
pub fn secret_use(spec: &PodSpec, secret: &str) -> SecretUse {
    containers_using(spec, secret).fold(SecretUse::default(), |all, (_, one)| SecretUse {
        sees_changes: all.sees_changes || one.sees_changes,
        is_blind: all.is_blind || one.is_blind,
    })
}

/// The containers that use a Secret by name, those of an initialisation and ephemeral ones included, and how.
pub fn containers_using<'a>(spec: &'a PodSpec, secret: &'a str) -> impl Iterator<Item = (&'a str, SecretUse)> {
    let volumes: Vec<_> = spec.volumes.iter().flatten().filter(|volume| holds(volume, secret)).collect();
    let containers = spec.containers.iter().chain(spec.init_containers.iter().flatten());
    let containers = containers.map(|it| (it.name.as_str(), &it.env, &it.env_from, &it.volume_mounts));
    let ephemeral = spec.ephemeral_containers.iter().flatten();
    let ephemeral = ephemeral.map(|it| (it.name.as_str(), &it.env, &it.env_from, &it.volume_mounts));
    containers.chain(ephemeral).filter_map(move |(name, env, env_from, mounts)| {
        let is_own = |mount: &&VolumeMount| volumes.iter().any(|volume| volume.name == mount.name);
        let (parts, whole): (Vec<_>, Vec<_>) = mounts.iter().flatten().filter(is_own).partition(|mount| is_part(mount));
        let is_blind = !parts.is_empty() || has_in_environment(env.as_deref(), env_from.as_deref(), secret);
        let found = SecretUse { sees_changes: !whole.is_empty(), is_blind };
        (found != SecretUse::default()).then_some((name, found))
    })
}

/// True of a mount that stays as it was when its container started.
fn is_part(mount: &VolumeMount) -> bool {
    [&mount.sub_path, &mount.sub_path_expr].into_iter().flatten().any(|path| !path.is_empty())
}

/// True when the kubelet updates files of this Pod after a change of the Secret.
pub fn is_reached(pod: &Pod, secret: &str) -> bool {
    let is_mirror = pod.metadata.annotations.as_ref().is_some_and(|annotations| annotations.contains_key(MIRROR));
    let is_placed = |spec: &&PodSpec| spec.node_name.as_ref().is_some_and(|node| !node.is_empty());
    let spec = pod.spec.as_ref().filter(is_placed);
    let is_there = pod.metadata.deletion_timestamp.is_none() && !is_mirror;
    is_there && spec.is_some_and(|spec| secret_use(spec, secret).sees_changes)
}

/// The kind and name of what a Pod belongs to: of a ReplicaSet, the Deployment.
pub fn owner_of(pod: &Pod) -> String {
    let name = pod.metadata.name.as_deref().unwrap_or_default();
    let owners = pod.metadata.owner_references.iter().flatten();
    let Some(owner) = owners.into_iter().find(|owner| owner.controller == Some(true)) else {
        return format!("Pod {name}");
    };
    let hash = pod.metadata.labels.as_ref().and_then(|labels| labels.get(TEMPLATE_HASH));
    let deployment = hash.and_then(|hash| owner.name.strip_suffix(hash.as_str())?.strip_suffix('-'));
    match deployment.filter(|_| owner.kind == "ReplicaSet") {
        Some(deployment) => format!("Deployment {deployment}"),
        None => format!("{} {}", owner.kind, owner.name),
    }
}

fn holds(volume: &Volume, secret: &str) -> bool {
    let mounted = volume.secret.as_ref().and_then(|source| source.secret_name.as_deref());
    let sources = volume.projected.iter().flat_map(|projected| projected.sources.iter().flatten());
    let mut projected = sources.filter_map(|source| source.secret.as_ref());
    mounted == Some(secret) || projected.any(|source| source.name == secret)
}

fn has_in_environment(env: Option<&[EnvVar]>, env_from: Option<&[EnvFromSource]>, secret: &str) -> bool {
    let mut whole = env_from.unwrap_or_default().iter().filter_map(|from| from.secret_ref.as_ref());
    let sources = env.unwrap_or_default().iter().filter_map(|variable| variable.value_from.as_ref());
    let mut single = sources.filter_map(|source| source.secret_key_ref.as_ref());
    whole.any(|source| source.name == secret) || single.any(|source| source.name == secret)
}
