//! The API server's own count of requests: it knows of reads, and of writes that changed nothing.

use std::collections::BTreeMap;

use harness::Cluster;

const COUNTER: &str = "apiserver_request_total{";
/// The resources that the operator has to do with.
const RESOURCES: [&str; 3] = ["secrets", "syniversetokens", "events"];

/// The verbs that the controller manager uses on none of these but to delete a namespace.
const OWN: [&str; 4] = ["GET", "POST", "PUT", "PATCH"];

/// Requests by resource (`secrets`, `syniversetokens/status`) and verb (`GET`, `PUT`), watches left out.
#[derive(Default)]
pub(crate) struct Requests(BTreeMap<(String, String), u64>);

impl Requests {
    /// All since the start of the API server.
    ///
    /// # Errors
    /// If it does not tell.
    pub(crate) fn so_far(cluster: &Cluster) -> harness::Result<Self> {
        let metrics = cluster.kubectl(&["get", "--raw", "/metrics"])?;
        let mut counts = BTreeMap::new();
        for (name, count) in metrics.lines().filter_map(counted) {
            *counts.entry(name).or_default() += count;
        }
        Ok(Self(counts))
    }

    /// Those after `before`.
    pub(crate) fn since(mut self, before: &Self) -> Self {
        for (name, count) in &mut self.0 {
            *count -= before.0.get(name).copied().unwrap_or_default().min(*count);
        }
        self
    }

    /// How many there are of a resource and one of these verbs.
    pub(crate) fn count(&self, resource: &str, verbs: &[&str]) -> u64 {
        let wanted = self.0.iter().filter(|((of, verb), _)| of == resource && verbs.contains(&verb.as_str()));
        wanted.map(|(_, count)| count).sum()
    }

    /// Those that an operator could have made, one line for each resource and verb. What the controller manager does to
    /// the namespace of the run before, which still goes, is not among them.
    pub(crate) fn of_an_operator(&self) -> Vec<(String, u64)> {
        self.each().into_iter().filter(|(what, _)| OWN.contains(&what.split(' ').next().unwrap_or_default())).collect()
    }

    /// All of them, one line for each resource and verb.
    pub(crate) fn each(&self) -> Vec<(String, u64)> {
        let made = self.0.iter().filter(|(_, count)| **count > 0);
        made.map(|((of, verb), count)| (format!("{verb} {of}"), *count)).collect()
    }

    /// How many there are.
    pub(crate) fn total(&self) -> u64 {
        self.0.values().sum()
    }

    /// How many of them write.
    pub(crate) fn writes(&self) -> u64 {
        let writes = self.0.iter().filter(|((_, verb), _)| !["GET", "LIST"].contains(&verb.as_str()));
        writes.map(|(_, count)| count).sum()
    }
}

/// One line of the metrics, if it counts requests that matter here.
fn counted(line: &str) -> Option<((String, String), u64)> {
    let (labels, count) = line.strip_prefix(COUNTER)?.rsplit_once("} ")?;
    let (resource, subresource) = (label(labels, "resource")?, label(labels, "subresource")?);
    let verb = label(labels, "verb").filter(|verb| *verb != "WATCH")?;
    RESOURCES.contains(&resource).then_some(())?;
    let of = if subresource.is_empty() { resource.to_owned() } else { format!("{resource}/{subresource}") };
    Some(((of, verb.to_owned()), count.parse().ok()?))
}

fn label<'a>(labels: &'a str, name: &str) -> Option<&'a str> {
    let value = |label: &'a str| label.strip_prefix(name)?.strip_prefix("=\"")?.strip_suffix('"');
    labels.split(',').find_map(value)
}
