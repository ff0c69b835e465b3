//! What `values.yaml` says of each value: its name, its default, and the comment above it.

use serde_json::Value;

/// One value that can be set.
pub(crate) struct Documented {
    /// Where it stands: `image.tag`.
    pub(crate) path: String,
    /// The comment right above it.
    pub(crate) comment: String,
    /// The `##` heading before it.
    pub(crate) section: String,
}

/// All values with a comment, in order.
pub(crate) fn documented(text: &str) -> Vec<Documented> {
    let (mut found, mut comment, mut section) = (Vec::new(), Vec::new(), String::new());
    let mut parents: Vec<(usize, String)> = Vec::new();
    for line in text.lines() {
        let (trimmed, indent) = (line.trim_start(), line.len() - line.trim_start().len());
        if let Some(heading) = trimmed.strip_prefix("## ") {
            section = heading.to_owned();
        } else if let Some(words) = trimmed.strip_prefix("# ") {
            comment.push(words);
        } else if let Some((name, _)) = trimmed.split_once(':').filter(|_| !trimmed.starts_with('-')) {
            parents.retain(|(depth, _)| *depth < indent);
            parents.push((indent, name.to_owned()));
            if !comment.is_empty() {
                let path = parents.iter().map(|(_, name)| name.as_str()).collect::<Vec<_>>().join(".");
                found.push(Documented { path, comment: comment.join(" "), section: section.clone() });
            }
            comment.clear();
        } else {
            comment.clear();
        }
    }
    found
}

/// The value at `path`.
pub(crate) fn at<'a>(values: &'a Value, path: &str) -> &'a Value {
    path.split('.').fold(values, |value, name| &value[name])
}

/// The values that have neither a comment, nor one on something they are part of.
pub(crate) fn undocumented(values: &Value, documented: &[Documented]) -> Vec<String> {
    let mut found = Vec::new();
    collect("", values, documented, &mut found);
    found
}

fn collect(path: &str, value: &Value, documented: &[Documented], found: &mut Vec<String>) {
    if documented.iter().any(|known| known.path == path) {
        return;
    }
    let Some(fields) = value.as_object().filter(|fields| !fields.is_empty()) else {
        return found.push(path.to_owned());
    };
    for (name, value) in fields {
        collect(format!("{path}.{name}").trim_start_matches('.'), value, documented, found);
    }
}

/// The README's tables, one for each section.
pub(crate) fn tables(values: &Value, documented: &[Documented]) -> String {
    let (mut text, mut section) = (String::new(), "");
    for value in documented {
        if value.section != section {
            section = &value.section;
            text += &format!("\n### {section}\n\n| value | default | |\n|---|---|---|\n");
        }
        let default = at(values, &value.path).to_string().replace('|', "\\|");
        text += &format!("| `{}` | `{default}` | {} |\n", value.path, value.comment.replace('|', "\\|"));
    }
    text
}
