//! Addresses of this machine.

/// Addresses of this machine, so that none of its own services is reached by a name that leads to it.
pub(super) fn own() -> Vec<std::net::IpAddr> {
    let read = |path| std::fs::read_to_string(path).unwrap_or_default();
    addresses(&read("/proc/net/fib_trie"), &read("/proc/net/if_inet6"))
}

/// Reads the kernel's tables: of version 4 the addresses above the lines `/32 host LOCAL`, of version 6 the first word
/// of each line, in hexadecimal.
fn addresses(version4: &str, version6: &str) -> Vec<std::net::IpAddr> {
    let mut found = Vec::new();
    let mut last = None;
    for line in version4.lines() {
        match line.trim_start().strip_prefix("|-- ") {
            Some(address) => last = address.parse().ok().map(std::net::IpAddr::V4),
            None if line.contains("/32 host LOCAL") => found.extend(last),
            None => {}
        }
    }
    let hexadecimal = |line: &str| u128::from_str_radix(line.split(' ').next()?, 16).ok();
    found.extend(version6.lines().filter_map(hexadecimal).map(|bits| std::net::IpAddr::V6(bits.into())));
    found.sort_unstable();
    found.dedup();
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_the_machine_are_read_from_the_kernels_tables() {
        let version4 = "Local:\n  +-- 0.0.0.0/0 3 0 5\n     |-- 10.1.2.3\n        /32 host LOCAL\n     |-- 10.1.2.0\n        /24 link UNICAST\n     |-- 10.1.2.3\n        /32 host LOCAL\n";
        let version6 = "fe800000000000000000000000000001 02 40 20 80 eth0\nnonsense\n";
        let found: Vec<_> = addresses(version4, version6).iter().map(ToString::to_string).collect();
        assert_eq!(found, ["10.1.2.3", "fe80::1"]);
    }
}
