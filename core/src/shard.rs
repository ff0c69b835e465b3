//! Shards: each process of several works in its part of the namespaces.

use crate::fingerprint::keyed_number;
use std::fmt;
use std::str::FromStr;

/// Shards of a cluster.
const MOST: u32 = 100;
/// Keys the hash of a namespace. Another key would move every namespace to another shard.
const KEY: &str = "syniverse.dev/shard";

/// One of several shards, numbered from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shard {
    number: u32,
    count: u32,
}

impl Shard {
    /// The shard of a process that works in all namespaces.
    pub const WHOLE: Self = Self { number: 1, count: 1 };

    /// True where this shard works. Each namespace is in exactly one shard of a count; neither a restart nor another
    /// version changes which.
    pub fn holds(self, namespace: &str) -> bool {
        self.count == 1 || keyed_number(KEY, namespace) % u64::from(self.count) == u64::from(self.number - 1)
    }

    /// How many there are.
    pub fn count(self) -> u32 {
        self.count
    }

    /// Its share of a limit that all shards keep together; at least 1.
    pub fn share(self, limit: u32) -> u32 {
        (limit / self.count).max(1)
    }

    /// The name of its Lease. The count is not in it: while the count changes, the old and the new owner of a Lease follow
    /// each other, and the first shard goes on where the only one was.
    pub fn lease_name(self, name: String) -> String {
        if self.number == 1 { name } else { format!("{name}-{}", self.number) }
    }
}

/// Why a text is no shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the number of a shard and how many there are, such as 1/3, 2/3 or 3/3; at most {MOST}")]
pub struct NoShard;

impl FromStr for Shard {
    type Err = NoShard;

    fn from_str(text: &str) -> Result<Self, NoShard> {
        let (number, count) = text.split_once('/').ok_or(NoShard)?;
        let [number, count] = [number, count].map(|digits| {
            let is_plain = digits.bytes().all(|byte| byte.is_ascii_digit());
            digits.parse::<u32>().ok().filter(|_| is_plain)
        });
        let (Some(number), Some(count)) = (number, count) else { return Err(NoShard) };
        let is_one_of_them = (1..=count).contains(&number) && count <= MOST;
        is_one_of_them.then_some(Self { number, count }).ok_or(NoShard)
    }
}

impl fmt::Display for Shard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.number, self.count)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn shard(text: &str) -> Shard {
        text.parse().unwrap()
    }

    fn shards(count: u32) -> Vec<Shard> {
        (1..=count).map(|number| Shard { number, count }).collect()
    }

    /// As computed by another implementation of HMAC-SHA-256: the first 8 bytes, big-endian, modulo the count, plus 1.
    #[test]
    fn a_namespace_stays_in_its_shard_over_all_versions() {
        for (namespace, of_two, of_three, of_five) in [
            ("default", "1/2", "1/3", "1/5"),
            ("team-a", "1/2", "3/3", "2/5"),
            ("team-b", "2/2", "1/3", "5/5"),
            ("customer-000", "1/2", "3/3", "3/5"),
            ("customer-001", "2/2", "3/3", "4/5"),
        ] {
            for text in [of_two, of_three, of_five] {
                assert!(shard(text).holds(namespace), "{namespace}: {text}");
            }
        }
    }

    #[test]
    fn every_namespace_is_in_exactly_one_shard() {
        for count in [1, 2, 3, 7, MOST] {
            for number in 0..200 {
                let namespace = format!("customer-{number:03}");
                let holders = shards(count).into_iter().filter(|shard| shard.holds(&namespace)).count();
                assert_eq!(holders, 1, "{namespace} of {count}");
            }
        }
    }

    #[test]
    fn namespaces_with_similar_names_are_spread_evenly() {
        for shard in shards(4) {
            let held = (0..1000).filter(|number| shard.holds(&format!("customer-{number:03}"))).count();
            assert!((200..=300).contains(&held), "{shard} holds {held}");
        }
    }

    #[test]
    fn a_shard_is_a_number_of_so_many() {
        assert_eq!(shard("1/1"), Shard::WHOLE);
        assert_eq!(shard("2/3").to_string(), "2/3");
        assert!("100/100".parse::<Shard>().is_ok());
        for text in ["", "1", "/", "0/2", "3/2", "0/0", "1/0", "1/101", "-1/2", "+1/2", " 1/2", "1/2/3", "a/b", "1/"] {
            assert_eq!(text.parse::<Shard>(), Err(NoShard), "{text}");
        }
    }

    #[test]
    fn all_together_keep_to_a_limit_unless_it_is_below_their_count() {
        assert_eq!(["1/1", "2/3", "3/3"].map(|text| shard(text).share(50)), [50, 16, 16]);
        assert_eq!(shard("4/5").share(3), 1);
    }

    #[test]
    fn the_first_has_the_lease_of_the_only_one() {
        let names = ["1/1", "1/3", "2/3", "2/2"].map(|text| shard(text).lease_name("operator".into()));
        assert_eq!(names, ["operator", "operator", "operator-2", "operator-2"]);
    }
}
