//! The use cases: issue, list, rotate, delete a key; roles, users, teams, conversations, the audit log.
//!
//! One function each: the actor first, then the [`Occasion`], then what is wanted. Each checks what the actor may do,
//! makes its change and writes its audit event in one transaction, and answers with rows or an [`Error`] in the words of
//! this room. Everything here blocks, and nothing here knows HTTP.

mod administration;
pub mod api_keys;
pub mod audit;
pub mod barrier;
mod browser;
mod check;
pub mod conversations;
mod error;
pub mod key_table;
pub mod network;
pub mod nodes;
mod occasion;
mod password;
pub mod people;
pub mod roles;
pub mod sessions;
pub mod settings;
pub mod setup;
pub mod teams;
pub mod times;
pub mod usage;
pub mod users;
pub mod verify;
mod workspace;

pub use browser::Browser;
pub use check::DisplayRateLimit;
pub use error::{Conflict, Error, FieldError, InUse};
pub use occasion::Occasion;
pub use password::DrawnPassword;
pub use workspace::{Answered, Idempotency, Once, Workspace};
