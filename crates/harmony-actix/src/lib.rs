//! What an actix-web service mounts to be guarded: client address, limiter, authentication, `Granted`, the one problem
//! mapping.
//!
//! [`Edge`] goes around the whole application, [`Guard`] around the scope that wants keys, and a handler's signature
//! names the permission that it needs:
//!
//! ```
//! use harmony_actix::{Granted, Requirement};
//! use harmony_permission::Action;
//!
//! struct ReadInvoices;
//! impl Requirement for ReadInvoices {
//!     const ACTION: Action = Action::literal("invoices:read");
//! }
//!
//! async fn invoices(granted: Granted<ReadInvoices>) -> String {
//!     format!("as far as {:?}", granted.reach().span())
//! }
//! # let _ = actix_web::web::get().to(invoices);
//! ```
#![deny(missing_docs)]

mod address;
mod body;
mod code;
mod edge;
mod granted;
mod guard;
mod problem;

pub use address::{ClientAddress, ForwardingHeader, Found, ProxyError, TrustedProxies};
pub use body::{BODY_DEADLINE, MAX_BODY_BYTES, read_body};
pub use code::Code;
pub use edge::{Answer, Edge, EdgeService, Observer, RequestContext, read_clock};
pub use granted::{Authenticated, Granted, Requirement};
pub use guard::{Caller, Guard, GuardService, Parts, Witness};
pub use problem::{FieldProblem, Problem, not_found, other_methods};
