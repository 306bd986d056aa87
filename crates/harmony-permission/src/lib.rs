//! The language `resource:action:scope`: the order of scopes, sets of permissions, the built-in roles.
//!
//! It knows neither users nor keys nor rows: it says what a set of permissions allows, and how far.
//!
//! ```
//! use harmony_permission::{Action, Permission, PermissionSet, Scope};
//!
//! const READ: Action = Action::literal("invoices:read");
//! let held = PermissionSet::from_iter([Permission::literal("invoices:read:team")]);
//! assert_eq!(held.scope_of(&READ), Some(Scope::Team));
//! assert!(held.allows(&Permission::literal("invoices:read:own")));
//! assert!(!held.allows(&Permission::literal("invoices:read:all")));
//! ```
#![deny(missing_docs)]

pub mod catalogue;
mod permission;
mod role;
mod set;
mod word;

pub use permission::{Action, Permission, Scope};
pub use role::BuiltInRole;
pub use set::{MAX_PERMISSIONS, PermissionSet};
pub use word::{MAX_WORD_BYTES, PermissionError};
