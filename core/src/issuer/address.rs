//! Distinguishes public addresses from those of private and special networks. No client required.

use ipnet::IpNet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Kind of an address that no issuer on the public Internet can have; `None` = a public address.
///
/// An IPv6 address that carries an IPv4 address (see [`plain`]) is judged by the IPv4 address, so that clusters behind
/// NAT64 still reach the public Internet, and `127.0.0.1` cannot be reached as `::ffff:127.0.0.1`. The ranges are those
/// of the IANA special-purpose address registries; cluster-internal addresses lie in them.
pub fn special_kind(address: IpAddr) -> Option<&'static str> {
    let address = plain(address);
    SPECIAL.iter().find(|(range, _)| range.contains(&address)).map(|(_, kind)| *kind).or_else(|| match address {
        IpAddr::V6(_) if !GLOBAL_UNICAST.contains(&address) => Some("reserved"),
        _ => None,
    })
}

/// The IPv4 address inside an IPv4-mapped (`::ffff:0:0/96`), NAT64 (`64:ff9b::/96`) or 6to4 (`2002::/16`)
/// address; any other address unchanged.
pub fn plain(address: IpAddr) -> IpAddr {
    let IpAddr::V6(v6) = address else { return address };
    match v6.segments() {
        [0, 0, 0, 0, 0, 0xffff, high, low] | [0x64, 0xff9b, 0, 0, 0, 0, high, low] | [0x2002, high, low, ..] => {
            Ipv4Addr::from_bits(u32::from(high) << 16 | u32::from(low)).into()
        }
        _ => address,
    }
}

/// The only part of IPv6 that is given out to the public; all else is reserved.
const GLOBAL_UNICAST: IpNet = v6(0x2000, 0, 3);

/// The first range that holds an address names its kind, so narrow ones come first.
const SPECIAL: [(IpNet, &str); 26] = [
    (v4([0, 0, 0, 0], 32), "unspecified"),
    (v4([0, 0, 0, 0], 8), "reserved"),
    (v4([10, 0, 0, 0], 8), "private"),
    (v4([100, 64, 0, 0], 10), "private"),
    (v4([127, 0, 0, 0], 8), "loopback"),
    (v4([169, 254, 0, 0], 16), "link-local"),
    (v4([172, 16, 0, 0], 12), "private"),
    (v4([192, 0, 0, 0], 24), "reserved"),
    (v4([192, 0, 2, 0], 24), "reserved"),
    (v4([192, 88, 99, 0], 24), "reserved"),
    (v4([192, 168, 0, 0], 16), "private"),
    (v4([198, 18, 0, 0], 15), "reserved"),
    (v4([198, 51, 100, 0], 24), "reserved"),
    (v4([203, 0, 113, 0], 24), "reserved"),
    (v4([224, 0, 0, 0], 4), "multicast"),
    (v4([255, 255, 255, 255], 32), "broadcast"),
    (v4([240, 0, 0, 0], 4), "reserved"),
    (IpNet::new_assert(IpAddr::V6(Ipv6Addr::UNSPECIFIED), 128), "unspecified"),
    (IpNet::new_assert(IpAddr::V6(Ipv6Addr::LOCALHOST), 128), "loopback"),
    (v6(0x2001, 0, 23), "reserved"),
    (v6(0x2001, 0x0db8, 32), "reserved"),
    (v6(0x3fff, 0, 20), "reserved"),
    (v6(0xfc00, 0, 7), "private"),
    (v6(0xfe80, 0, 10), "link-local"),
    (v6(0xfec0, 0, 10), "private"),
    (v6(0xff00, 0, 8), "multicast"),
];

const fn v4([a, b, c, d]: [u8; 4], bits: u8) -> IpNet {
    IpNet::new_assert(IpAddr::V4(Ipv4Addr::new(a, b, c, d)), bits)
}

const fn v6(first: u16, second: u16, bits: u8) -> IpNet {
    IpNet::new_assert(IpAddr::V6(Ipv6Addr::new(first, second, 0, 0, 0, 0, 0, 0)), bits)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn kind(address: &str) -> Option<&'static str> {
        special_kind(address.parse().unwrap())
    }

    #[test]
    fn public_addresses_are_nothing_special() {
        let public =
            ["8.8.8.8", "1.1.1.1", "172.32.0.1", "100.128.0.1", "192.0.1.1", "2606:4700::1111", "2001:4860:4860::8888"];
        for address in public {
            assert_eq!(kind(address), None, "{address}");
        }
    }

    #[test]
    fn every_special_range_is_known_from_its_first_address_to_its_last() {
        for (address, expected) in [
            ("0.0.0.0", "unspecified"),
            ("0.255.255.255", "reserved"),
            ("10.0.0.0", "private"),
            ("10.255.255.255", "private"),
            ("100.64.0.0", "private"),
            ("100.127.255.255", "private"),
            ("127.0.0.1", "loopback"),
            ("127.255.255.255", "loopback"),
            ("169.254.169.254", "link-local"),
            ("172.16.0.0", "private"),
            ("172.31.255.255", "private"),
            ("192.0.0.8", "reserved"),
            ("192.0.2.1", "reserved"),
            ("192.168.255.255", "private"),
            ("198.19.255.255", "reserved"),
            ("198.51.100.1", "reserved"),
            ("203.0.113.1", "reserved"),
            ("224.0.0.1", "multicast"),
            ("239.255.255.255", "multicast"),
            ("240.0.0.1", "reserved"),
            ("255.255.255.255", "broadcast"),
            ("::", "unspecified"),
            ("::1", "loopback"),
            ("::7f00:1", "reserved"),
            ("100::1", "reserved"),
            ("64:ff9b:1::1", "reserved"),
            ("2001::1", "reserved"),
            ("2001:db8::1", "reserved"),
            ("3fff::1", "reserved"),
            ("4000::1", "reserved"),
            ("fd12:3456::1", "private"),
            ("fe80::1", "link-local"),
            ("fec0::1", "private"),
            ("ff02::1", "multicast"),
        ] {
            assert_eq!(kind(address), Some(expected), "{address}");
        }
    }

    #[test]
    fn an_address_inside_another_is_judged_by_itself() {
        for (address, expected) in [
            ("::ffff:127.0.0.1", Some("loopback")),
            ("::ffff:169.254.169.254", Some("link-local")),
            ("::ffff:8.8.8.8", None),
            ("64:ff9b::10.1.2.3", Some("private")),
            ("64:ff9b::8.8.8.8", None),
            ("2002:7f00:1::", Some("loopback")),
            ("2002:808:808::1", None),
        ] {
            assert_eq!(kind(address), expected, "{address}");
        }
    }
}
