//! The image of the test containers: a static busybox, a page with a cat, a UDP echo.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::run;

/// What the HTTP server of a test container serves at `/`.
pub(crate) const PAGE: &str = " /\\_/\\\n( o.o )\n > ^ <\n";

/// The command line of a test container: HTTP on port 80, then the UDP echo on port 7, which says `ready`.
/// httpd goes to the background only after it has bound its port.
pub(crate) const COMMAND: [&str; 4] = ["/bin/busybox", "sh", "-c", "/bin/busybox httpd -h /www && exec /bin/udp_echo"];

/// Writes the file system's tar to `dir`/image.tar.
pub(crate) fn write_tar(dir: &Path) {
    let root = dir.join("image");
    for part in ["bin", "www"] {
        fs::create_dir_all(root.join(part)).unwrap();
    }
    fs::write(root.join("www/index.html"), PAGE).unwrap();
    fs::copy("/bin/busybox", root.join("bin/busybox")).unwrap();
    fs::set_permissions(root.join("bin/busybox"), fs::Permissions::from_mode(0o755)).unwrap();
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/udp_echo.rs");
    let echo = root.join("bin/udp_echo");
    run("rustc", &["--edition=2024", "-Ctarget-feature=+crt-static", source, "-o", echo.to_str().unwrap()]);
    let tar = dir.join("image.tar");
    run("tar", &["-C", root.to_str().unwrap(), "-cf", tar.to_str().unwrap(), "."]);
}
