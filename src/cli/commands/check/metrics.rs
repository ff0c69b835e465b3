//! What the operator's own metrics say, read through the API server.

use super::operator::Installed;
use super::report::Report;
use crate::cli::commands::target::Target;
use http::Request;

/// Seconds by which the clocks may differ, as for the reason ClockSkew.
const SKEW: f64 = 30.0;

/// Checks them, where its user may read them and they are served.
pub(super) async fn check(target: &Target, operator: &Installed, leader: Option<&str>, report: &mut Report) {
    let (Some(port), Some(leader)) = (operator.metrics_port(), leader) else { return };
    // An identity is the name of the Pod and something after it.
    let pod = leader.split('_').next().unwrap_or(leader);
    let path = format!("/api/v1/namespaces/{}/pods/{pod}:{port}/proxy/metrics", operator.namespace);
    let Ok(request) = Request::get(path).body(Vec::new()) else { return };
    // A NetworkPolicy may keep the API server out, and many a user may not ask.
    if let Ok(page) = target.client.request_text(request).await {
        judge(&page, report);
    }
}

fn judge(page: &str, report: &mut Report) {
    let skew = samples(page, "syniverse_token_issuer_clock_skew_seconds").max_by(|a, b| a.abs().total_cmp(&b.abs()));
    match skew {
        Some(skew) if skew.abs() > SKEW => {
            let side = if skew > 0.0 { "behind" } else { "ahead of" };
            let detail = format!("the operator's clock is {:.0} s {side} an issuer's", skew.abs());
            report.warn("clock-skew", detail, "look at the time service of the node; expiries are not affected");
        }
        Some(_) => report.good("clock-skew", "the clocks of the operator and of the issuers agree"),
        None => {}
    }
    let rivals: f64 = samples(page, "syniverse_token_rival_writes_total").sum();
    if rivals > 0.0 {
        let detail = format!("{rivals} answers were recorded by another operator while this one leads");
        report.bad("rival", detail, "stop one of the two, or give each its own watchNamespaces");
    }
    let dropped: f64 = samples(page, "syniverse_token_events_dropped_total").sum();
    if dropped > 0.0 {
        report.warn(
            "events",
            format!("{dropped} Events were never sent"),
            "nothing is lost but Events: see the status",
        );
    }
}

/// The values of a metric.
fn samples<'a>(page: &'a str, metric: &'a str) -> impl Iterator<Item = f64> + 'a {
    page.lines().filter_map(move |line| {
        let rest = line.strip_prefix(metric)?;
        rest.starts_with(['{', ' ']).then_some(())?;
        rest.rsplit_once(' ')?.1.parse().ok()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::commands::terminal::{Mark, Terminal};

    fn said(page: &str) -> (Mark, String) {
        let mut report = Report::default();
        judge(page, &mut report);
        (report.worst(), report.text(Terminal::stdout(), false))
    }

    #[test]
    fn a_clock_that_is_off_and_a_second_operator_are_found() {
        let page = |skew: &str, rivals: u8| {
            format!(
                "# TYPE syniverse_token_issuer_clock_skew_seconds gauge\n\
                 syniverse_token_issuer_clock_skew_seconds{{issuer=\"application\"}} {skew}\n\
                 syniverse_token_rival_writes_total {rivals}\n"
            )
        };
        assert_eq!(said(&page("0.4", 0)).0, Mark::Good);
        let (mark, text) = said(&page("-41", 0));
        assert!(mark == Mark::Warning && text.contains("41 s ahead of"), "{text}");
        assert_eq!(said(&page("0", 2)).0, Mark::Bad);
        assert_eq!(said("").0, Mark::Good);
    }
}
