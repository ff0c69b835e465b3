//! Names for people. A namespace may hold thousands of consumers, for each of thousands of tokens.

use std::fmt::{Display, Formatter};

/// Names that are kept, and said.
const NAMED: usize = 10;
/// The most characters of one: a kind and a name take up to 317, but an owner that a Pod claims may have any.
const LONGEST: usize = 400;

/// The first of some names, and how many there are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Names {
    first: Vec<String>,
    count: usize,
}

impl Names {
    /// True when there are none.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Adds one.
    pub fn push(&mut self, name: String) {
        self.extend([name]);
    }

    /// Adds others, each in the words of `said`.
    pub fn append(&mut self, others: &Self, said: impl Fn(&str) -> String) {
        let count = self.count + others.count;
        self.extend(others.first.iter().map(|name| said(name)));
        self.count = count;
    }
}

impl Extend<String> for Names {
    fn extend<T: IntoIterator<Item = String>>(&mut self, names: T) {
        for name in names {
            self.count += 1;
            if self.first.len() < NAMED {
                self.first.push(name.chars().take(LONGEST).collect());
            }
        }
    }
}

impl FromIterator<String> for Names {
    fn from_iter<T: IntoIterator<Item = String>>(names: T) -> Self {
        let mut all = Self::default();
        all.extend(names);
        all
    }
}

impl Display for Names {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.first.join(", "))?;
        match self.count - self.first.len() {
            0 => Ok(()),
            more => write!(f, " and {more} more"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbered(count: usize) -> Names {
        (0..count).map(|number| format!("Pod {number}")).collect()
    }

    #[test]
    fn the_first_ten_are_kept_and_the_others_counted() {
        assert_eq!(numbered(2).to_string(), "Pod 0, Pod 1");
        assert!(numbered(10).to_string().ends_with(", Pod 9"));
        let many = numbered(5000);
        assert!(many.to_string().ends_with(", Pod 9 and 4990 more"));
        assert_eq!(many.first.len(), NAMED);
        assert_eq!([numbered(0), many].map(|names| names.is_empty()), [true, false]);
    }

    #[test]
    fn others_count_with_those_that_are_not_kept() {
        let mut all = numbered(2);
        all.append(&numbered(30), |name| format!("{name} waits"));
        assert!(all.to_string().starts_with("Pod 0, Pod 1, Pod 0 waits, "), "{all}");
        assert!(all.to_string().ends_with(", Pod 7 waits and 22 more"), "{all}");
    }

    #[test]
    fn a_name_that_is_none_is_cut() {
        let long: Names = ["x".repeat(1 << 20)].into_iter().collect();
        assert_eq!(long.to_string(), "x".repeat(LONGEST));
    }
}
