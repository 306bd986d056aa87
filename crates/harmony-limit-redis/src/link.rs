//! The connection, made by the keeper alone, and given up at the first sign of trouble.
//!
//! The client's own `ConnectionManager` is not used: it lets calls wait while it connects again, and here nobody may wait for a Redis
//! that is down. The cluster's connection finds its way again by itself.

use std::time::Duration;

use redis::aio::{ConnectionLike, MultiplexedConnection};
use redis::cluster::ClusterClient;
use redis::cluster_async::ClusterConnection;
use redis::cluster_routing::{MultipleNodeRoutingInfo, RoutingInfo};
use redis::sentinel::{SentinelClient, SentinelClientBuilder, SentinelServerType};
use redis::{AsyncConnectionConfig, Client, Cmd, RedisError, Value};
use tokio::time::timeout;

use crate::address::{Kind, RedisAddress};
use crate::timing::CONNECT_WITHIN;

/// What went wrong with Redis.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LinkError {
    /// It did not answer in time.
    #[error("no answer within {} ms", .0.as_millis())]
    Slow(Duration),
    /// The client's or the server's error.
    #[error(transparent)]
    Redis(#[from] RedisError),
    /// It closed the connection before it had said anything of itself.
    #[error(
        "the connection was closed; perhaps this Redis has no password and takes none from other machines (protected \
         mode): then set `requirepass` there, and name the password in the URL"
    )]
    Closed(#[source] RedisError),
    /// It answered something that is no answer.
    #[error("an answer that is none of this protocol")]
    Answer,
}

/// How to reach Redis, and the connection if there is one.
pub(crate) struct Link {
    way: Way,
    open: Option<Open>,
    within: Duration,
}

enum Way {
    Server(Box<Client>),
    Cluster(Box<ClusterClient>),
    Sentinel(Box<SentinelClient>),
}

#[derive(Clone)]
enum Open {
    Server(MultiplexedConnection),
    Cluster(ClusterConnection),
}

/// What a server says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct About {
    /// Its version.
    pub version: String,
    /// Its `maxmemory-policy`; empty if it does not tell.
    pub eviction: String,
}

impl Link {
    /// A way to this address; nothing is connected yet.
    pub(crate) fn new(address: &RedisAddress, within: Duration) -> Result<Self, LinkError> {
        let way = match &address.kind {
            Kind::Server(info) => Way::Server(Box::new(Client::open(info.clone())?)),
            Kind::Cluster(servers) => {
                let client = ClusterClient::builder(servers.clone())
                    .retries(1)
                    .connection_timeout(CONNECT_WITHIN)
                    .response_timeout(within);
                Way::Cluster(Box::new(client.build()?))
            }
            Kind::Sentinel { sentinels, master, user, password } => {
                let mut client =
                    SentinelClientBuilder::new(sentinels.clone(), master, SentinelServerType::Master)?;
                if let Some(user) = user {
                    client = client.set_client_to_redis_username(user);
                }
                if let Some(password) = password {
                    client = client.set_client_to_redis_password(password);
                }
                Way::Sentinel(Box::new(client.build()?))
            }
        };
        Ok(Self { way, open: None, within })
    }

    /// Another one over the same way. A cluster's connection is shared.
    pub(crate) fn twin(&self, address: &RedisAddress) -> Result<Self, LinkError> {
        let shared = self.open.clone().filter(|open| matches!(open, Open::Cluster(_)));
        Ok(Self { open: shared, ..Self::new(address, self.within)? })
    }

    /// Connects, if there is no connection.
    pub(crate) async fn connect(&mut self) -> Result<(), LinkError> {
        if self.open.is_some() {
            return Ok(());
        }
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(CONNECT_WITHIN))
            .set_response_timeout(Some(self.within));
        let connecting = async {
            Ok::<_, RedisError>(match &mut self.way {
                Way::Server(client) => {
                    Open::Server(client.get_multiplexed_async_connection_with_config(&config).await?)
                }
                Way::Cluster(client) => Open::Cluster(client.get_async_connection().await?),
                Way::Sentinel(client) => {
                    Open::Server(client.get_async_connection_with_config(&config).await?)
                }
            })
        };
        // Sentinels may be several, some of them gone.
        let within = CONNECT_WITHIN * 4;
        let open = timeout(within, connecting).await.map_err(|_| LinkError::Slow(within))??;
        self.open = Some(open);
        Ok(())
    }

    /// Gives the connection up: what is still under way on it is answered to nobody.
    pub(crate) fn drop_connection(&mut self) {
        self.open = None;
    }

    /// One call, within its time.
    pub(crate) async fn call(&self, command: &Cmd) -> Result<Value, LinkError> {
        let calling = async {
            match self.open.clone() {
                None => Err(RedisError::from(std::io::Error::from(std::io::ErrorKind::NotConnected))),
                Some(Open::Server(mut connection)) => connection.req_packed_command(command).await,
                Some(Open::Cluster(mut connection)) => connection.req_packed_command(command).await,
            }
        };
        let answer = timeout(self.within, calling).await.map_err(|_| LinkError::Slow(self.within))??;
        Ok(answer.extract_error()?)
    }

    /// What each server that may hold counts says of itself.
    pub(crate) async fn about(&self) -> Result<Vec<About>, LinkError> {
        let command = redis::cmd("INFO");
        let answer = match self.open.clone() {
            Some(Open::Cluster(mut connection)) => {
                let all = RoutingInfo::MultiNode((MultipleNodeRoutingInfo::AllMasters, None));
                connection.route_command(command, all).await?
            }
            _ => self.call(&command).await?,
        };
        let mut texts = Vec::new();
        gather(&answer, &mut texts);
        let about = texts.iter().map(|text| About {
            version: field(text, "redis_version:"),
            eviction: field(text, "maxmemory_policy:"),
        });
        let about: Vec<About> = about.collect();
        if about.is_empty() || about.iter().any(|one| one.version.is_empty()) {
            return Err(LinkError::Answer);
        }
        Ok(about)
    }
}

/// The texts in an answer: one of a server, one for each server of a cluster.
fn gather(value: &Value, texts: &mut Vec<String>) {
    match value {
        Value::BulkString(bytes) => {
            let text = String::from_utf8_lossy(bytes);
            if text.contains("redis_version:") {
                texts.push(text.into_owned());
            }
        }
        Value::VerbatimString { text, .. } => texts.push(text.clone()),
        Value::Array(values) => values.iter().for_each(|value| gather(value, texts)),
        Value::Map(pairs) => pairs.iter().for_each(|(_, value)| gather(value, texts)),
        _ => {}
    }
}

fn field(text: &str, name: &str) -> String {
    text.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default().trim().to_owned()
}
