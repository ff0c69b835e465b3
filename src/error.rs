//! What went wrong with a request to the API server, in words that can be shown.

/// What went wrong with a request to the API server, without the bodies that went either way.
pub fn said(error: &kube::Error) -> String {
    match error {
        // These two are about names and sizes, never about the values in a Secret.
        kube::Error::Api(status) if status.is_forbidden() || status.is_invalid() => status.message.clone(),
        kube::Error::Api(status) => format!("HTTP {} {}", status.code, status.reason),
        kube::Error::SerdeError(_) => "the answer is not what was asked for".to_owned(),
        kube::Error::HyperError(_) | kube::Error::Service(_) => "the API server cannot be reached".to_owned(),
        _ => "the request could not be made".to_owned(),
    }
}

/// True when the API server refuses to create anything because the namespace is being deleted.
pub fn is_namespace_ending(error: &kube::Error) -> bool {
    let kube::Error::Api(status) = error else { return false };
    let mut causes = status.details.iter().flat_map(|details| &details.causes);
    status.is_forbidden() && causes.any(|cause| cause.reason == "NamespaceTerminating")
}
