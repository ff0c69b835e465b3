//! The two text formats of metrics, and their negotiation.

use flate2::Compression;
use flate2::write::GzEncoder;
use std::collections::HashSet;
use std::io::Write;

/// A text format of metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Format {
    /// Prometheus' own format, version 0.0.4: the default without an `Accept` header.
    Prometheus,
    /// OpenMetrics 1.0.0.
    OpenMetrics,
}

impl Format {
    /// The format that an `Accept` header prefers; the default instead of a refusal.
    pub(super) fn wanted(accept: &str) -> Self {
        let known = choices(accept).filter_map(|choice| Some((Self::named(&choice)?, choice.weight)));
        let best =
            known.filter(|(_, weight)| *weight > 0.0).reduce(|best, next| if next.1 > best.1 { next } else { best });
        best.map_or(Self::Prometheus, |(format, _)| format)
    }

    fn named(choice: &Choice<'_>) -> Option<Self> {
        match (choice.name.to_ascii_lowercase().as_str(), choice.version) {
            ("application/openmetrics-text", None | Some("1.0.0")) => Some(Self::OpenMetrics),
            ("text/plain", None | Some("0.0.4")) => Some(Self::Prometheus),
            _ => None,
        }
    }

    /// Its media type.
    pub(super) const fn content_type(self) -> &'static str {
        match self {
            Self::Prometheus => "text/plain; version=0.0.4; charset=utf-8",
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }

    /// Converts an OpenMetrics text to this format.
    pub(super) fn of(self, openmetrics: String) -> String {
        match self {
            Self::Prometheus => prometheus(&openmetrics),
            Self::OpenMetrics => openmetrics,
        }
    }
}

/// Prometheus' format calls a counter by the name of its samples, and knows neither units nor an end.
fn prometheus(openmetrics: &str) -> String {
    let counter = |line: &'_ str| Some(line.strip_prefix("# TYPE ")?.strip_suffix(" counter")?.to_owned());
    let counters: HashSet<String> = openmetrics.lines().filter_map(counter).collect();
    let mut text = String::with_capacity(openmetrics.len() + 1024);
    for line in openmetrics.lines().filter(|line| *line != "# EOF" && !line.starts_with("# UNIT ")) {
        let described = ["# HELP ", "# TYPE "].into_iter().find_map(|start| Some((start, line.strip_prefix(start)?)));
        match described.and_then(|(start, rest)| Some((start, rest.split_once(' ')?))) {
            Some((start, (name, rest))) if counters.contains(name) => {
                [start, name, "_total ", rest].iter().for_each(|part| text.push_str(part));
            }
            _ => text.push_str(line),
        }
        text.push('\n');
    }
    text
}

/// Whether an `Accept-Encoding` header accepts gzip.
pub(super) fn gzipped(accept_encoding: &str) -> bool {
    let weight =
        |name| choices(accept_encoding).find(|choice| choice.name.eq_ignore_ascii_case(name)).map(|it| it.weight);
    weight("gzip").or_else(|| weight("*")).is_some_and(|weight| weight > 0.0)
}

/// A text in gzip.
pub(super) fn gzip(text: &str) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    // Writing into a Vec cannot fail.
    let _ = encoder.write_all(text.as_bytes());
    encoder.finish().unwrap_or_default()
}

/// An accepted media type or encoding.
struct Choice<'a> {
    name: &'a str,
    version: Option<&'a str>,
    /// From 0, not at all, to 1.
    weight: f32,
}

/// The elements of an `Accept` or `Accept-Encoding` header (RFC 9110, section 12.5).
fn choices(header: &str) -> impl Iterator<Item = Choice<'_>> {
    header.split(',').map(|element| {
        let mut parts = element.split(';').map(str::trim);
        let mut choice = Choice { name: parts.next().unwrap_or_default(), version: None, weight: 1.0 };
        for (name, value) in parts.filter_map(|part| part.split_once('=')) {
            match name.trim().to_ascii_lowercase().as_str() {
                "q" => choice.weight = value.trim().parse().unwrap_or(0.0),
                "version" => choice.version = Some(value.trim().trim_matches('"')),
                _ => {}
            }
        }
        choice
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use std::io::Read;

    #[test]
    fn a_reader_gets_the_format_that_it_prefers_and_the_usual_one_where_it_names_none() {
        use Format::{OpenMetrics, Prometheus};
        for (accept, format) in [
            ("", Prometheus),
            ("*/*", Prometheus),
            ("application/json", Prometheus),
            ("text/html, */*;q=0.1", Prometheus),
            ("application/openmetrics-text", OpenMetrics),
            ("Application/OpenMetrics-Text; Version=1.0.0", OpenMetrics),
            ("application/openmetrics-text;version=\"1.0.0\"", OpenMetrics),
            ("application/openmetrics-text; version=2.0.0", Prometheus),
            ("application/openmetrics-text;q=0", Prometheus),
            ("application/openmetrics-text;q=many", Prometheus),
            ("text/plain;version=0.0.4;q=0.5,application/openmetrics-text;version=1.0.0;q=0.4", Prometheus),
            ("text/plain;q=0.4 , application/openmetrics-text ; q=0.5", OpenMetrics),
            ("text/plain, application/openmetrics-text", Prometheus),
            // The `Accept` headers of Prometheus 3 and 2.
            (
                "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,application/openmetrics-text;\
                 version=0.0.1;q=0.5,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,text/plain;version=0.0.4;q=0.3,\
                 */*;q=0.2",
                OpenMetrics,
            ),
            (
                "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,\
                 text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
                OpenMetrics,
            ),
        ] {
            assert_eq!(Format::wanted(accept), format, "{accept}");
        }
    }

    #[test]
    fn gzip_is_for_those_who_take_it() {
        for (accepted, is_gzipped) in [
            ("", false),
            ("identity", false),
            ("gzip", true),
            ("GZIP", true),
            ("deflate, gzip;q=1.0, *;q=0.5", true),
            ("br;q=1.0, gzip;q=0.0", false),
            ("gzip;q=0, *", false),
            ("*", true),
            ("*;q=0", false),
            ("notgzip", false),
        ] {
            assert_eq!(gzipped(accepted), is_gzipped, "{accepted}");
        }
        let mut text = String::new();
        flate2::read::GzDecoder::new(gzip("a_total 1\n").as_slice()).read_to_string(&mut text).unwrap();
        assert_eq!(text, "a_total 1\n");
    }

    #[test]
    fn a_counter_is_called_by_its_samples_where_there_are_no_units_and_no_end() {
        let openmetrics = "# HELP a_seconds Time.\n# TYPE a_seconds counter\n# UNIT a_seconds seconds\n\
             a_seconds_total{of=\"# EOF\"} 1.5\n# HELP a Not a_seconds.\n# TYPE a gauge\na 2\n# EOF\n";
        let text = "# HELP a_seconds_total Time.\n# TYPE a_seconds_total counter\na_seconds_total{of=\"# EOF\"} 1.5\n\
             # HELP a Not a_seconds.\n# TYPE a gauge\na 2\n";
        assert_eq!(Format::Prometheus.of(openmetrics.to_owned()), text);
        assert_eq!(Format::OpenMetrics.of(openmetrics.to_owned()), openmetrics);
    }
}
