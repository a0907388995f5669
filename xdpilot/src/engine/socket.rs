//! Where an engine's socket may be, and which of them answers.

use std::io;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use xdpilot_core::error::{Error, Kind, Result};

use super::Engine;

/// The sockets to try, in order. `env` reads an environment variable.
///
/// A host variable that is set names the only one, as it does for the engine's own client.
/// Errors: the variable names something other than a Unix socket.
pub(super) fn candidates(engine: Engine, env: impl Fn(&str) -> Option<String>) -> Result<Vec<PathBuf>> {
    let (variable, fixed, per_user) = match engine {
        Engine::Docker => ("DOCKER_HOST", "/var/run/docker.sock", "docker.sock"),
        Engine::Podman => ("CONTAINER_HOST", "/run/podman/podman.sock", "podman/podman.sock"),
    };
    if let Some(host) = env(variable).filter(|host| !host.is_empty()) {
        return match host.strip_prefix("unix://") {
            Some(path) if path.starts_with('/') => Ok(vec![path.into()]),
            _ => Err(Error::usage(format!("ask {} at {variable}={host}", engine.title()))
                .cause("only an engine on this machine has its containers' interfaces here: unix:///PATH was expected")
                .mend(format!("unset {variable}"))),
        };
    }
    let mut paths = vec![PathBuf::from(fixed)];
    if let Some(dir) = env("XDG_RUNTIME_DIR").filter(|dir| dir.starts_with('/')) {
        paths.push(Path::new(&dir).join(per_user));
    }
    Ok(paths)
}

/// The first of `paths` on which somebody listens. Errors: none does, or we may not ask.
pub(super) fn first_answering(engine: Engine, paths: Vec<PathBuf>) -> Result<PathBuf> {
    let mut denied = None;
    let mut tried = Vec::new();
    for path in paths {
        match UnixStream::connect(&path) {
            Ok(_) => return Ok(path),
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => denied = denied.or(Some((path, error))),
            Err(error) => tried.push(format!("{}: {error}", path.display())),
        }
    }
    match denied {
        Some((path, error)) => Err(connect_error(engine, &path, &error)),
        None => Err(absent(engine, &tried.join("\n"))),
    }
}

/// Connects, or says in words why not.
pub(super) fn connect(engine: Engine, path: &Path) -> Result<UnixStream> {
    UnixStream::connect(path).map_err(|error| connect_error(engine, path, &error))
}

fn connect_error(engine: Engine, path: &Path, error: &io::Error) -> Error {
    if error.kind() != io::ErrorKind::PermissionDenied {
        return absent(engine, &format!("{}: {error}", path.display()));
    }
    Error::new(Kind::NotPermitted, format!("ask {} at {}", engine.title(), path.display()))
        .kernel(error.to_string())
        .errno(error.raw_os_error().unwrap_or_default())
        .cause("the socket belongs to another user or group")
        .mend("run it again with sudo")
}

fn absent(engine: Engine, tried: &str) -> Error {
    let (title, start) = match engine {
        Engine::Docker => ("Docker", "systemctl start docker"),
        Engine::Podman => {
            ("Podman", "systemctl start podman.socket\n(or, without systemd: podman system service --time=0 &)")
        }
    };
    Error::failed(format!("ask {title} for its containers"))
        .kernel(tried)
        .cause(format!("no {title} engine listens on these sockets"))
        .mend(start)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixListener;

    fn env(name: &'static str, value: &'static str) -> impl Fn(&str) -> Option<String> {
        move |asked| (asked == name).then(|| value.to_owned())
    }

    #[test]
    fn default_sockets_come_in_order() {
        let user = env("XDG_RUNTIME_DIR", "/run/user/7");
        assert_eq!(
            candidates(Engine::Podman, &user).unwrap(),
            [Path::new("/run/podman/podman.sock"), Path::new("/run/user/7/podman/podman.sock")]
        );
        assert_eq!(
            candidates(Engine::Docker, &user).unwrap(),
            [Path::new("/var/run/docker.sock"), Path::new("/run/user/7/docker.sock")]
        );
        assert_eq!(candidates(Engine::Docker, |_| None).unwrap(), [Path::new("/var/run/docker.sock")]);
    }

    #[test]
    fn the_host_variable_names_the_only_socket() {
        assert_eq!(candidates(Engine::Docker, env("DOCKER_HOST", "unix:///a/b")).unwrap(), [Path::new("/a/b")]);
        assert_eq!(candidates(Engine::Podman, env("CONTAINER_HOST", "unix:///c")).unwrap(), [Path::new("/c")]);
        // The other engine's variable says nothing.
        assert_eq!(candidates(Engine::Podman, env("DOCKER_HOST", "unix:///a")).unwrap().len(), 1);
        for host in ["tcp://192.0.2.1:2375", "ssh://there", "unix://relative"] {
            let error = candidates(Engine::Docker, env("DOCKER_HOST", host)).unwrap_err();
            assert_eq!(error.kind(), Kind::Usage);
            assert!(error.what().contains(host), "{error}");
        }
    }

    #[test]
    fn an_absent_engine_is_answered_with_the_sockets_and_the_command_that_starts_it() {
        let dir = tempfile::tempdir().unwrap();
        let (missing, dead) = (dir.path().join("missing"), dir.path().join("dead"));
        drop(UnixListener::bind(&dead).unwrap());
        let error = first_answering(Engine::Podman, vec![missing.clone(), dead.clone()]).unwrap_err().to_string();
        for part in [
            missing.to_str().unwrap(),
            dead.to_str().unwrap(),
            "No such file",
            "Connection refused",
            "systemctl start podman.socket",
            "podman system service --time=0 &",
        ] {
            assert!(error.contains(part), "{part} is not in: {error}");
        }
        let error = first_answering(Engine::Docker, vec![missing]).unwrap_err();
        assert_eq!(error.mend_text(), Some("systemctl start docker"));
    }

    #[test]
    fn the_first_that_listens_is_taken() {
        let dir = tempfile::tempdir().unwrap();
        let live = dir.path().join("live");
        let _listener = UnixListener::bind(&live).unwrap();
        assert_eq!(first_answering(Engine::Docker, vec![dir.path().join("no"), live.clone()]).unwrap(), live);
    }

    #[test]
    fn a_socket_that_is_denied_is_not_permitted() {
        let error = connect_error(Engine::Docker, Path::new("/s"), &io::Error::from_raw_os_error(13));
        assert_eq!(error.kind(), Kind::NotPermitted);
        assert_eq!(error.errno_value(), Some(13));
    }
}
