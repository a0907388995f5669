//! What a probe found: data, shown as a table or as JSON.

use serde::Serialize;

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// As it should be.
    Ok,
    /// XDP works, with a limit that the finding names.
    Warn,
    /// XDP does not work.
    Fail,
}

impl Level {
    /// The word in the table.
    pub(super) fn word(self) -> &'static str {
        match self {
            Level::Ok => "ok",
            Level::Warn => "warn",
            Level::Fail => "fail",
        }
    }
}

/// One finding.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// How bad it is.
    pub level: Level,
    /// What was found, one sentence.
    pub text: String,
    /// The command or step that mends it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mend: Option<String>,
}

impl Finding {
    /// Something is as it should be.
    pub(super) fn ok(text: impl Into<String>) -> Self {
        Finding { level: Level::Ok, text: text.into(), mend: None }
    }

    /// Something limits XDP.
    pub(super) fn warn(text: impl Into<String>, mend: impl Into<String>) -> Self {
        Finding { level: Level::Warn, text: text.into(), mend: Some(mend.into()) }
    }

    /// Something keeps XDP from working.
    pub(super) fn fail(text: impl Into<String>, mend: impl Into<String>) -> Self {
        Finding { level: Level::Fail, text: text.into(), mend: Some(mend.into()) }
    }
}
