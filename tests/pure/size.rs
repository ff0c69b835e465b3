//! No file and no function grows beyond what a reader takes in at a time.

use std::fs;
use std::path::{Path, PathBuf};

const ROOTS: [&str; 2] =
    [concat!(env!("CARGO_MANIFEST_DIR"), "/core/src"), concat!(env!("CARGO_MANIFEST_DIR"), "/src")];
/// Lines of a file before its tests.
const LONGEST_FILE: usize = 300;
/// Lines of a function, signature and closing brace included.
const LONGEST_FUNCTION: usize = 40;

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

fn production(path: &Path) -> Vec<String> {
    let text = fs::read_to_string(path).unwrap();
    text.split("#[cfg(test)]").next().unwrap_or_default().trim_end().lines().map(str::to_owned).collect()
}

/// The name and the length of each function: formatted code closes one with a brace that stands as far in as its beginning.
fn functions(lines: &[String]) -> Vec<(String, usize)> {
    let begins =
        |line: &str| line.trim_start().split(['(', '<']).next().is_some_and(|head| format!(" {head}").contains(" fn "));
    let heads = lines.iter().enumerate().filter(|(_, line)| begins(line) && !line.trim_start().starts_with("//"));
    let length = |(first, head): (usize, &String)| {
        let indent = &head[..head.len() - head.trim_start().len()];
        let is_one_line = head.ends_with('}') || head.ends_with(';');
        let close = || lines[first..].iter().position(|line| *line == format!("{indent}}}"));
        (head.trim().to_owned(), if is_one_line { 1 } else { close().map_or(1, |last| last + 1) })
    };
    heads.map(length).collect()
}

#[test]
fn no_file_is_longer_than_300_lines_without_its_tests() {
    let all: Vec<_> = ROOTS.iter().flat_map(|root| files(Path::new(root))).collect();
    assert!(all.len() > 80, "{}", all.len());
    let long = all.iter().map(|path| (path, production(path).len())).filter(|(_, lines)| *lines > LONGEST_FILE);
    assert_eq!(long.collect::<Vec<_>>(), []);
}

#[test]
fn no_function_is_longer_than_40_lines() {
    let all = ROOTS.iter().flat_map(|root| files(Path::new(root))).flat_map(|path| functions(&production(&path)));
    let all: Vec<_> = all.collect();
    assert!(all.len() > 800 && all.iter().any(|(_, lines)| *lines > 30), "functions are not seen: {}", all.len());
    assert_eq!(
        all.iter().filter(|(_, lines)| *lines > LONGEST_FUNCTION).collect::<Vec<_>>(),
        Vec::<&(String, usize)>::new()
    );
}
