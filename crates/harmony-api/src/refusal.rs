//! The one mapping from what a use case refuses to what a client is told.
#![deny(clippy::wildcard_enum_match_arm)]

use harmony_actix::{Code, FieldError as FieldProblem, Problem};
use harmony_store::StoreError;
use harmony_workspace::{Conflict, Error, FieldError};

pub(crate) fn problem(error: Error) -> Problem {
    match error {
        Error::Forbidden { required, held } => Problem::forbidden(&required, &held),
        Error::NotFound => Problem::new(Code::NotFound),
        Error::Invalid(errors) => Problem::invalid_fields(errors.into_iter().map(field).collect()),
        Error::Conflict(conflict) => conflicting(&conflict),
        Error::Stale => Problem::new(Code::PreconditionFailed),
        Error::IdempotencyMismatch => Problem::new(Code::IdempotencyMismatch),
        Error::IdempotencyInProgress => Problem::new(Code::IdempotencyInProgress),
        Error::Store(error) => of_store(error),
        Error::Draw(error) => Problem::internal(error),
        Error::Password(error) => Problem::internal(error),
    }
}

fn conflicting(conflict: &Conflict) -> Problem {
    let problem = Problem::new(code(conflict)).with_detail(sentence(&conflict.to_string()));
    let Conflict::RoleInUse(by) = conflict else { return problem };
    problem.with_member("users", texts(&by.users)).with_member("keys", texts(&by.keys))
}

fn texts<T: ToString>(ids: &[T]) -> Vec<String> {
    ids.iter().map(ToString::to_string).collect()
}

fn field(error: FieldError) -> FieldProblem {
    FieldProblem::new(error.field, error.code, error.detail)
}

const fn code(conflict: &Conflict) -> Code {
    match conflict {
        Conflict::RoleInUse(_) => Code::RoleInUse,
        Conflict::KeysRemain { .. } => Code::KeysRemain,
        Conflict::LastAdministrator => Code::LastAdministrator,
        Conflict::EmailTaken => Code::EmailTaken,
        Conflict::BuiltInRole => Code::BuiltInRole,
        Conflict::NameTaken { .. }
        | Conflict::RotatedAlready
        | Conflict::KeyExists
        | Conflict::SetUpAlready => Code::AlreadyExists,
    }
}

/// What the store says is for the log; the client is told what to do.
fn of_store(error: StoreError) -> Problem {
    match error {
        // What refers to each other was parted at each try, or what the caller acts for is gone: the next request is judged
        // by what is left.
        StoreError::Unavailable(_) | StoreError::Full | StoreError::Referenced(_) => {
            Problem::unavailable(error)
        }
        StoreError::Taken(_) => Problem::new(Code::AlreadyExists),
        StoreError::Refused(_) => Problem::internal(error),
    }
}

fn sentence(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| format!("{}{}.", first.to_uppercase(), letters.as_str()))
}
