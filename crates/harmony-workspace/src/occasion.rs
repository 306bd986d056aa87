//! When, from where and as part of what something is done.

use std::net::IpAddr;

use harmony_access::{Id, Kind, Timestamp};

use crate::Error;

/// The circumstances of one call of a use case: the clock was read at the edge, and the audit log is told of the rest.
#[derive(Debug, Clone)]
pub struct Occasion {
    /// The moment at which everything in the call happens.
    pub now: Timestamp,
    /// The client's address; `None` on the operator's command line.
    pub client: Option<IpAddr>,
    /// The request that the call is part of.
    pub request_id: Option<String>,
}

impl Occasion {
    /// The client's address as it is kept; empty where there is none.
    pub(crate) fn ip(&self) -> String {
        self.client.map(|client| client.to_canonical().to_string()).unwrap_or_default()
    }

    /// A new id, made now.
    pub(crate) fn id<K: Kind>(&self) -> Result<Id<K>, Error> {
        let mut random = [0; 10];
        harmony_key::random(&mut random)?;
        Ok(Id::new(self.now, random))
    }
}
