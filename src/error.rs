//! What went wrong with a request to the API server, in words that can be shown.

use kube::runtime::watcher;

/// Longest text of the API server that is repeated, in characters.
const LONGEST_SENTENCE: usize = 512;

/// What went wrong with a request to the API server, without the bodies that went either way.
pub fn said(error: &kube::Error) -> String {
    match error {
        kube::Error::Api(status) if status.is_forbidden() || status.is_invalid() => sentence(&status.message),
        kube::Error::Api(status) => format!("HTTP {} {}", status.code, status.reason),
        kube::Error::SerdeError(_) => "the answer is not what was asked for".to_owned(),
        kube::Error::HyperError(_) | kube::Error::Service(_) => "the API server cannot be reached".to_owned(),
        _ => "the request could not be made".to_owned(),
    }
}

/// What the API server itself says is about names and sizes. An admission webhook or policy might repeat what it was
/// shown: only its name is kept.
fn sentence(message: &str) -> String {
    let denied = ["denied the request", "denied request"];
    let end = denied.iter().find_map(|words| Some(message.find(words)? + words.len())).unwrap_or(message.len());
    message[..end].chars().take(LONGEST_SENTENCE).collect()
}

/// True when the API server refuses to create anything because the namespace is being deleted.
pub fn is_namespace_ending(error: &kube::Error) -> bool {
    let kube::Error::Api(status) = error else { return false };
    let mut causes = status.details.iter().flat_map(|details| &details.causes);
    status.is_forbidden() && causes.any(|cause| cause.reason == "NamespaceTerminating")
}

/// What a watch failed of, in the words of [`said`].
pub fn said_of_watch(error: &watcher::Error) -> String {
    use watcher::Error::{InitialListFailed, NoResourceVersion, WatchError, WatchFailed, WatchStartFailed};
    match error {
        InitialListFailed(error) | WatchStartFailed(error) | WatchFailed(error) => said(error),
        WatchError(status) => said(&kube::Error::Api(status.clone())),
        NoResourceVersion => "no resourceVersion in the answer".to_owned(),
    }
}
