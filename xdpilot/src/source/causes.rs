//! Why sources do not compile: what clang says, in words that tell the way out.

use std::path::Path;

use xdpilot_core::error::Error;

use super::packages::{self, Package};

/// The header that clang did not find.
pub(super) fn missing_header(text: &str) -> Option<&str> {
    let (before, _) = text.split_once("' file not found")?;
    before.rsplit_once('\'').map(|(_, name)| name)
}

/// Adds the cause and the mend where clang's text tells them.
pub(super) fn explain(error: Error, path: &Path, text: &str) -> Error {
    if let Some(name) = missing_header(text) {
        return explain_header(error, path, name);
    }
    let internal =
        ["asm goto", "asm_inline", "asm_volatile_goto", "invalid output constraint", "unknown register name"];
    if internal.iter().any(|word| text.contains(word)) {
        return kernel_internal(error);
    }
    if text.contains("is already defined") && text.contains("changed binding to") {
        return error
            .cause("a function or variable has the name of its own section, which this clang does not take")
            .mend("rename it: `char _license[] SEC(\"license\")`");
    }
    if text.contains("No available targets are compatible") {
        return error.cause("this clang was built without BPF").mend(packages::install(Package::Clang));
    }
    error
}

fn explain_header(error: Error, path: &Path, name: &str) -> Error {
    let package =
        |error: Error, package| error.cause(format!("header {name} is not installed")).mend(packages::install(package));
    // In the C library's and kernel's packages on every distribution.
    const INSTALLED: &[&str] = &["linux/types.h", "asm/types.h", "stdint.h", "string.h", "stdlib.h", "stdio.h"];
    const INSTALLED_FOLDERS: &[&str] = &["arpa/", "netinet/", "sys/", "bits/", "gnu/", "asm-generic/", "net/ethernet"];
    const INTERNAL: &[&str] = &[
        "skbuff.h",
        "kernel.h",
        "compiler.h",
        "kconfig.h",
        "module.h",
        "netdevice.h",
        "sched.h",
        "slab.h",
        "printk.h",
    ];
    let linux = name.strip_prefix("uapi/").unwrap_or(name).strip_prefix("linux/");
    match linux {
        _ if name.starts_with("xdp/") => package(error, Package::Libxdp),
        _ if name == "iproute2/bpf_elf.h" => package(error, Package::Iproute),
        Some(header) if INTERNAL.contains(&header) => kernel_internal(error),
        Some(_) => package(error, Package::Headers),
        None if INSTALLED.contains(&name) || INSTALLED_FOLDERS.iter().any(|folder| name.starts_with(folder)) => {
            package(error, Package::Headers)
        }
        None => error
            .cause(format!("header {name} is neither beside {} nor in the system's folders", path.display()))
            .mend("name its folder: CPATH=FOLDER before the command"),
    }
}

fn kernel_internal(error: Error) -> Error {
    error
        .cause("the source includes headers of the kernel's inside, which are not made for BPF")
        .mend("include \"vmlinux.h\" instead: xdpilot makes it from the running kernel")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn explained(text: &str) -> Error {
        explain(Error::failed("compile a.c"), Path::new("a.c"), text)
    }

    #[test]
    fn reads_the_missing_header_also_in_colours() {
        let plain = "a.c:1:10: fatal error: 'no/such.h' file not found\n    1 | #include <no/such.h>\n";
        let colours =
            "\x1b[1ma.c:1:10: \x1b[0m\x1b[0;1;31mfatal error: \x1b[0m\x1b[1m'no/such.h' file not found\x1b[0m\n";
        assert_eq!(missing_header(plain), Some("no/such.h"));
        assert_eq!(missing_header(colours), Some("no/such.h"));
        assert_eq!(missing_header("a.c:1:1: error: unknown type name 'foo'\n"), None);
    }

    #[test]
    fn tells_headers_apart_by_what_mends_them() {
        let mend = |name: &str| {
            let error = explained(&format!("a.c:1:10: fatal error: '{name}' file not found\n"));
            error.mend_text().unwrap().to_owned()
        };
        assert!(mend("common_kern_user.h").starts_with("name its folder"));
        assert!(mend("xdp/parsing_helpers.h").contains("libxdp"));
        assert!(mend("linux/skbuff.h").contains("vmlinux.h"));
        assert_eq!(mend("asm/types.h"), packages::install(Package::Headers));
        assert_eq!(mend("linux/if_ether.h"), packages::install(Package::Headers));
    }

    #[test]
    fn knows_the_kernels_inside_by_its_assembly() {
        let error = explained("include/linux/x.h:3:1: error: 'asm goto' constructs are not supported yet\n");
        assert!(error.cause_text().unwrap().contains("kernel's inside"), "{error}");
        let twice = "error: symbol 'license' is already defined\nerror: license changed binding to STB_GLOBAL\n";
        assert!(explained(twice).mend_text().unwrap().contains("_license"));
        assert_eq!(explained("a.c:1:1: error: expected ';'\n").cause_text(), None);
    }
}
