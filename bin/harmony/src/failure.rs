//! Why a command ends without having done what was asked.

use std::{error::Error, fmt, process::ExitCode};

/// A sentence with its causes, and the exit code.
#[derive(Debug)]
pub struct Failure {
    code: u8,
    sentence: String,
}

impl Failure {
    /// Refused or failed: exit code 1.
    pub fn refused(sentence: impl Into<String>) -> Self {
        Self { code: 1, sentence: sentence.into() }
    }

    /// Wrong usage or configuration: exit code 2.
    pub fn usage(sentence: impl Into<String>) -> Self {
        Self { code: 2, sentence: sentence.into() }
    }

    /// `what` failed, and why.
    pub fn of(what: &str, error: &dyn Error) -> Self {
        Self::refused(format!("{what}: {}", causes(error)))
    }

    pub fn exit_code(&self) -> ExitCode {
        ExitCode::from(self.code)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.sentence)
    }
}

impl From<crate::settings::SettingsError> for Failure {
    fn from(error: crate::settings::SettingsError) -> Self {
        Self::usage(error.to_string())
    }
}

/// What is wrong with the entry stays wrong: a supervisor need not try again.
impl From<harmony_store::OpenError> for Failure {
    fn from(error: harmony_store::OpenError) -> Self {
        use harmony_store::OpenError::{NoTls, Plaintext};
        match &error {
            Plaintext { .. } | NoTls { .. } => Self::usage(format!("database_url: {}", causes(&error))),
            other => Self::refused(causes(other)),
        }
    }
}

impl From<harmony_workspace::Error> for Failure {
    fn from(error: harmony_workspace::Error) -> Self {
        match &error {
            harmony_workspace::Error::Invalid(fields) => Self::refused(
                fields
                    .iter()
                    .map(|field| format!("{}: {}", field.field, field.detail))
                    .collect::<Vec<_>>()
                    .join("; "),
            ),
            other => Self::refused(causes(other)),
        }
    }
}

macro_rules! failed {
    ($($error:ty),*) => {
        $(impl From<$error> for Failure {
            fn from(error: $error) -> Self {
                Self::refused(causes(&error))
            }
        })*
    };
}
failed!(
    harmony_store::StoreError,
    harmony_store::copy::CopyError,
    harmony_key::DrawError,
    std::io::Error,
    serde_json::Error
);

/// An error with all that caused it; what a cause repeats is said once.
fn causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        let more = inner.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        cause = inner.source();
    }
    text
}
