//! What was found.

use crate::cli::commands::terminal::{Mark, Terminal};
use serde_json::{Value, json};

/// Where each check is explained, in the project's repository; its id is the anchor.
const PAGE: &str = "docs/checks.md";

/// The ids of all checks, in the order of the page. Programs rely on them.
const IDS: [&str; 19] = [
    "api-server",
    "install-rights",
    "crd",
    "operator",
    "replicas",
    "memory",
    "version",
    "admission-policy",
    "leader",
    "rbac",
    "rival",
    "clock-skew",
    "events",
    "issuer",
    "tokens",
    "unseen",
    "dead",
    "suspended",
    "reasons",
];

/// One thing that was looked at.
#[derive(Clone, Debug)]
pub(super) struct Finding {
    /// What it is about, in the words of a heading of the page.
    id: &'static str,
    group: &'static str,
    mark: Mark,
    /// The fact.
    detail: String,
    /// What to do.
    remedy: Option<String>,
}

/// All that was looked at.
#[derive(Debug, Default)]
pub(super) struct Report {
    group: &'static str,
    findings: Vec<Finding>,
    /// What its user wants to know could not be looked at.
    pub(super) is_blind: bool,
}

impl Report {
    /// Begins a group of checks.
    pub(super) fn begin(&mut self, group: &'static str) {
        self.group = group;
    }

    /// Something is as it should be.
    pub(super) fn good(&mut self, id: &'static str, detail: impl Into<String>) {
        self.add(id, Mark::Good, detail.into(), None);
    }

    /// Something may be wrong, or could not be looked at.
    pub(super) fn warn(&mut self, id: &'static str, detail: impl Into<String>, remedy: impl Into<String>) {
        self.add(id, Mark::Warning, detail.into(), Some(remedy.into()));
    }

    /// Something is wrong.
    pub(super) fn bad(&mut self, id: &'static str, detail: impl Into<String>, remedy: impl Into<String>) {
        self.add(id, Mark::Bad, detail.into(), Some(remedy.into()));
    }

    /// What matters most could not be looked at.
    pub(super) fn unseen(&mut self, id: &'static str, detail: impl Into<String>, remedy: impl Into<String>) {
        self.is_blind = true;
        self.warn(id, detail, remedy);
    }

    /// Something is so wrong.
    pub(super) fn add_with(&mut self, id: &'static str, mark: Mark, detail: String, remedy: impl Into<String>) {
        self.add(id, mark, detail, Some(remedy.into()));
    }

    fn add(&mut self, id: &'static str, mark: Mark, detail: String, remedy: Option<String>) {
        debug_assert!(IDS.contains(&id), "{id}");
        self.findings.push(Finding { id, group: self.group, mark, detail, remedy });
    }

    /// The worst there is.
    pub(super) fn worst(&self) -> Mark {
        self.findings.iter().map(|finding| finding.mark).max().unwrap_or(Mark::Good)
    }

    fn count(&self, mark: Mark, of: &str) -> Option<String> {
        let count = self.findings.iter().filter(|finding| finding.mark == mark).count();
        (count > 0).then(|| format!("{count} {of}{}", if count > 1 { "s" } else { "" }))
    }

    /// How many problems and warnings there are.
    pub(super) fn result(&self) -> String {
        let counts = [self.count(Mark::Bad, "problem"), self.count(Mark::Warning, "warning")];
        let counts: Vec<_> = counts.into_iter().flatten().collect();
        if counts.is_empty() { "nothing is wrong".to_owned() } else { counts.join(", ") }
    }

    /// For people: a line each, and below what is wrong what to do. `is_short` leaves out what is right.
    pub(super) fn text(&self, terminal: Terminal, is_short: bool) -> String {
        let (mut text, mut group) = (String::new(), "");
        for finding in self.findings.iter().filter(|finding| !is_short || finding.mark != Mark::Good) {
            if finding.group != group {
                group = finding.group;
                text += &format!("{group}\n");
            }
            text += &format!("  {} {}\n", terminal.mark(finding.mark), finding.detail);
            if let Some(remedy) = &finding.remedy {
                text += &format!("      -> {remedy}   {PAGE}#{}\n", finding.id);
            }
        }
        text + &format!("result: {}\n", self.result())
    }

    /// For programs.
    pub(super) fn document(&self) -> Value {
        let status = |mark| match mark {
            Mark::Good => "ok",
            Mark::Warning => "warn",
            Mark::Bad => "fail",
        };
        let check = |finding: &Finding| {
            let mut check = json!({"id": finding.id, "group": finding.group, "status": status(finding.mark),
                "detail": finding.detail});
            if let Some(remedy) = &finding.remedy {
                check["remedy"] = json!(remedy);
                check["url"] = json!(format!("{PAGE}#{}", finding.id));
            }
            check
        };
        json!({"checks": self.findings.iter().map(check).collect::<Vec<_>>(), "result": status(self.worst())})
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_check_has_a_heading_on_its_page_and_every_heading_a_check() {
        let page = include_str!("../../../../docs/checks.md");
        assert_eq!(page.lines().filter_map(|line| line.strip_prefix("## ")).collect::<Vec<_>>(), IDS);
    }
}
