#![doc = include_str!("lib.md")]
#![deny(missing_docs)]

mod body;
mod caught;
mod client_addr;
mod clock;
mod code;
mod context;
mod credential;
mod edge;
mod fallback;
mod granted;
mod guard;
mod observe;
mod problem;
mod rate_headers;
mod request_id;
mod trusted;

pub use body::{BODY_DEADLINE, read_body, read_body_within};
pub use client_addr::{ClientAddr, ForwardedHeader, MAX_HOPS};
pub use clock::{Clock, SystemClock};
pub use code::Code;
pub use context::RequestContext;
pub use credential::{KEY_HEADER, MAX_TARGET_BYTES};
pub use edge::{Edge, EdgeFuture, EdgeService};
pub use fallback::{get, not_found};
pub use granted::{Authenticated, Granted, Requirement};
pub use guard::{Guard, GuardFuture, GuardService};
pub use harmony_limit::Limiter;
pub use observe::{Answered, Authentication, Exposed, Observer};
pub use problem::{FieldError, Problem};
pub use request_id::{MAX_REQUEST_ID_BYTES, RequestId};
pub use trusted::{TrustedProxies, TrustedProxyError, TrustedProxyFault};
