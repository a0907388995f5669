//! The one error type: what failed, on which object, the kernel's words, the cause, the mend.

use std::fmt;

/// What an [`Error`] means for the process that meets it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The work failed (exit code 1).
    Failed,
    /// The request itself is wrong: a name, an option, a file that is not what it should be (exit code 2).
    Usage,
    /// Refused for safety (exit code 3).
    Refused,
    /// The kernel does not let this user do it (exit code 4).
    NotPermitted,
}

impl Kind {
    /// The exit code of the process.
    pub fn exit_code(self) -> u8 {
        match self {
            Kind::Failed => 1,
            Kind::Usage => 2,
            Kind::Refused => 3,
            Kind::NotPermitted => 4,
        }
    }
}

/// An error that a person can act on.
///
/// It prints as up to four parts: `what` failed (naming the object it failed on), the kernel's own
/// words, the likely cause, and the command that mends it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error(Box<Parts>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Parts {
    kind: Kind,
    what: String,
    kernel: Option<String>,
    errno: Option<i32>,
    cause: Option<String>,
    mend: Option<String>,
}

/// The result of everything that can fail with an [`Error`].
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// An error of this kind; `what` names the action and its object: `load dropper.o`.
    pub fn new(kind: Kind, what: impl Into<String>) -> Self {
        Error(Box::new(Parts { kind, what: what.into(), kernel: None, errno: None, cause: None, mend: None }))
    }

    /// The work failed.
    pub fn failed(what: impl Into<String>) -> Self {
        Self::new(Kind::Failed, what)
    }

    /// The request is wrong.
    pub fn usage(what: impl Into<String>) -> Self {
        Self::new(Kind::Usage, what)
    }

    /// Adds the kernel's own words (extack, verifier line, errno text).
    #[must_use]
    pub fn kernel(mut self, words: impl Into<String>) -> Self {
        self.0.kernel = Some(words.into());
        self
    }

    /// Adds the error number; EPERM and EACCES do not change the kind by themselves.
    #[must_use]
    pub fn errno(mut self, errno: i32) -> Self {
        self.0.errno = Some(errno.abs());
        self
    }

    /// Adds the likely cause, one sentence.
    #[must_use]
    pub fn cause(mut self, cause: impl Into<String>) -> Self {
        self.0.cause = Some(cause.into());
        self
    }

    /// Adds the command or step that mends it.
    #[must_use]
    pub fn mend(mut self, mend: impl Into<String>) -> Self {
        self.0.mend = Some(mend.into());
        self
    }

    /// Puts what was being done around it in front: `outer: what`.
    #[must_use]
    pub fn context(mut self, outer: impl fmt::Display) -> Self {
        self.0.what = format!("{outer}: {}", self.0.what);
        self
    }

    /// Changes the kind.
    #[must_use]
    pub fn of_kind(mut self, kind: Kind) -> Self {
        self.0.kind = kind;
        self
    }

    /// The kind.
    pub fn kind(&self) -> Kind {
        self.0.kind
    }

    /// What failed.
    pub fn what(&self) -> &str {
        &self.0.what
    }

    /// The kernel's own words, where it said any.
    pub fn kernel_words(&self) -> Option<&str> {
        self.0.kernel.as_deref()
    }

    /// The error number (positive), where there is one.
    pub fn errno_value(&self) -> Option<i32> {
        self.0.errno
    }

    /// The likely cause, where it is known.
    pub fn cause_text(&self) -> Option<&str> {
        self.0.cause.as_deref()
    }

    /// What mends it, where something does.
    pub fn mend_text(&self) -> Option<&str> {
        self.0.mend.as_deref()
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Parts { what, kernel, cause, mend, .. } = &*self.0;
        write!(f, "{what}")?;
        for (label, text) in [("kernel", kernel), ("cause", cause), ("mend", mend)] {
            if let Some(text) = text {
                write!(f, "\n  {label}: {}", text.trim_end().replace('\n', "\n    "))?;
            }
        }
        Ok(())
    }
}

impl std::error::Error for Error {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prints_all_parts_in_order() {
        let error = Error::failed("attach to eth0")
            .kernel("Device or resource busy")
            .cause("a program is there")
            .mend("xdpilot status");
        assert_eq!(
            error.to_string(),
            "attach to eth0\n  kernel: Device or resource busy\n  cause: a program is there\n  mend: xdpilot status"
        );
    }
}
