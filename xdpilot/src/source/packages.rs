//! The command that installs a package on this distribution.

use std::fs;

/// Something that compiling needs and a distribution packages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Package {
    /// The compiler.
    Clang,
    /// The headers of the C library and of the kernel's system calls.
    Headers,
    /// libxdp's headers `<xdp/...>`.
    Libxdp,
    /// iproute2's header `<iproute2/bpf_elf.h>`.
    Iproute,
}

/// The command, by the running system's `os-release(5)`.
pub(super) fn install(package: Package) -> String {
    let text = fs::read_to_string("/etc/os-release").or_else(|_| fs::read_to_string("/usr/lib/os-release"));
    command(&text.unwrap_or_default(), package)
}

/// Columns: ID or ID_LIKE, command, names in the order of [`Package`].
const DISTRIBUTIONS: &[(&str, &str, [&str; 4])] = &[
    ("debian", "apt-get install", ["clang", "libc6-dev", "libxdp-dev", "iproute2"]),
    ("ubuntu", "apt-get install", ["clang", "libc6-dev", "libxdp-dev", "iproute2"]),
    ("fedora", "dnf install", ["clang", "glibc-devel kernel-headers", "libxdp-devel", "iproute-devel"]),
    ("rhel", "dnf install", ["clang", "glibc-devel kernel-headers", "libxdp-devel", "iproute-devel"]),
    ("suse", "zypper install", ["clang", "glibc-devel linux-glibc-devel", "libxdp-devel", "libbpf-devel"]),
    ("arch", "pacman -S", ["clang", "glibc linux-api-headers", "libxdp", "iproute2"]),
    ("alpine", "apk add", ["clang", "musl-dev linux-headers", "libxdp-dev", "iproute2-dev"]),
];

fn command(os_release: &str, package: Package) -> String {
    let value = |key: &str| {
        let line = os_release.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('='));
        line.unwrap_or_default().trim_matches(['"', '\'']).to_owned()
    };
    let ids = format!("{} {}", value("ID"), value("ID_LIKE"));
    let known = ids.split_whitespace().find_map(|id| DISTRIBUTIONS.iter().find(|(known, ..)| *known == id));
    let (_, install, names) = known.unwrap_or(&DISTRIBUTIONS[0]);
    format!("{install} {}", names[package as usize])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn speaks_the_distribution_s_tongue() {
        let debian = "PRETTY_NAME=\"Debian GNU/Linux 12\"\nVERSION_ID=\"12\"\nID=debian\n";
        let rocky = "ID=\"rocky\"\nID_LIKE=\"rhel centos fedora\"\n";
        let mint = "ID=linuxmint\nID_LIKE=\"ubuntu debian\"\n";
        let leap = "ID=\"opensuse-leap\"\nID_LIKE=\"suse opensuse\"\n";
        assert_eq!(command(debian, Package::Clang), "apt-get install clang");
        assert_eq!(command(rocky, Package::Headers), "dnf install glibc-devel kernel-headers");
        assert_eq!(command(mint, Package::Libxdp), "apt-get install libxdp-dev");
        assert_eq!(command(leap, Package::Clang), "zypper install clang");
        assert_eq!(command("ID=arch\n", Package::Clang), "pacman -S clang");
        assert_eq!(command("", Package::Clang), "apt-get install clang");
    }
}
