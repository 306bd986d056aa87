//! Whether a Redis will do, seen before anything is counted in it.

use redis::ConnectionAddr;
use tokio::runtime::Builder;
use tokio::time::timeout;

use crate::address::{Kind, RedisAddress};
use crate::link::{About, Link, LinkError};
use crate::options::StartError;
use crate::timing::{CALL_WITHIN, START_WITHIN};

/// The oldest version with `SET … PXAT`.
const OLDEST: (u32, u32) = (6, 2);

/// Asks each server that would hold counts what it is, and changes nothing. It blocks, for 5 seconds at most.
///
/// # Errors
///
/// Those with which a [`crate::SharedLimiter`] would not start: Redis cannot be reached, is too old, or may evict keys.
pub fn inspect(address: &RedisAddress) -> Result<Vec<About>, StartError> {
    let failed = |source| StartError::Link { address: address.to_string(), source };
    let runtime = Builder::new_current_thread().enable_all().build().map_err(StartError::Thread)?;
    let mut link = Link::new(address, CALL_WITHIN).map_err(failed)?;
    runtime.block_on(look(&mut link, address))
}

/// Connects, and sees that every server suits.
pub(crate) async fn look(link: &mut Link, address: &RedisAddress) -> Result<Vec<About>, StartError> {
    let failed = |source| StartError::Link { address: address.to_string(), source };
    let looking = async {
        link.connect().await?;
        link.about().await
    };
    let about = timeout(START_WITHIN, looking).await;
    let about = about.unwrap_or(Err(LinkError::Slow(START_WITHIN)));
    let about = about.map_err(|error| match (error, &address.kind) {
        // A cluster's client and a sentinel's have other causes for this kind of error, and a socket leads to no other machine.
        (LinkError::Redis(error), Kind::Server(server))
            if error.is_connection_dropped()
                && !error.is_connection_refusal()
                && matches!(server.addr(), ConnectionAddr::Tcp(..)) =>
        {
            failed(LinkError::Closed(error))
        }
        (error, _) => failed(error),
    })?;
    for one in &about {
        suits(address, one)?;
    }
    Ok(about)
}

fn suits(address: &RedisAddress, about: &About) -> Result<(), StartError> {
    let address = address.to_string();
    let mut numbers = about.version.split('.').map_while(|number| number.parse::<u32>().ok());
    if (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0)) < OLDEST {
        return Err(StartError::Version { address, version: about.version.clone() });
    }
    // The counts have a time to live: a policy that evicts those first would forget counts before anything else.
    if !about.eviction.is_empty() && about.eviction != "noeviction" {
        return Err(StartError::Eviction { address, policy: about.eviction.clone() });
    }
    Ok(())
}
