//! The script, what it is asked and what it answers.

use redis::{Cmd, Value};

use crate::entry::Grant;
use crate::link::{Link, LinkError};
use crate::timing::{ASK_MS, GRACE_MS, HOLD_MS, LAPSE_MS};

const TEXT: &str = include_str!("limiter.lua");

/// The most clients in one call.
pub(crate) const MAX_CLIENTS: usize = 128;
/// How many nodes are known at most.
pub(crate) const MAX_NODES: usize = 256;

/// Loads the script when Redis has it no longer, and otherwise calls it by its digest.
#[derive(Default)]
pub(crate) struct Script {
    digest: Option<String>,
}

/// Where the keys of a domain are.
#[derive(Clone, Debug)]
pub(crate) struct Keys {
    prefix: String,
}

impl Keys {
    /// All keys have the same hash tag, and so are in one slot of a cluster.
    pub(crate) fn new(prefix: &str, domain: usize) -> Self {
        Self { prefix: format!("{prefix}:{{limit-{domain}}}:") }
    }

    fn registry(&self) -> String {
        format!("{}nodes", self.prefix)
    }

    fn client(&self, client: u64) -> String {
        format!("{}{client:016x}", self.prefix)
    }
}

/// What is wanted for one client.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wish {
    pub(crate) client: u64,
    /// Requests that wait.
    pub(crate) waiting: u32,
    /// How many to hold for them and for those to come, as far as the others can spare them; 0 for none to come.
    pub(crate) ahead: u32,
    /// What this node took in the window.
    pub(crate) taken: u32,
}

/// What is given back for one client, of the window with this end.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Back {
    pub(crate) client: u64,
    pub(crate) back: u32,
    pub(crate) of_unix_ms: u64,
}

/// What a node took and Redis does not know.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Owed {
    pub(crate) client: u64,
    pub(crate) owed: u32,
    pub(crate) left_ms: u64,
}

/// How a node calls itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Call {
    Live,
    Away,
    Leaving,
}

/// A beat.
pub(crate) struct Beat<'a> {
    pub(crate) epoch: &'a str,
    pub(crate) fresh_epoch: &'a str,
    pub(crate) id: &'a str,
    pub(crate) call: Call,
    pub(crate) valid_until_unix_ms: u64,
    pub(crate) window_ms: u64,
    pub(crate) limit: u32,
    pub(crate) share: u32,
    pub(crate) rows: &'a [Row],
}

/// What a node knows of another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Row {
    pub(crate) id: String,
    pub(crate) age_ms: u64,
    pub(crate) share: u32,
}

/// What Redis says of all nodes.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Register {
    pub(crate) now_unix_ms: u64,
    pub(crate) epoch: String,
    pub(crate) opens_in_ms: u64,
    pub(crate) live: u32,
    pub(crate) share: u32,
    pub(crate) rows: Vec<Row>,
}

/// An answer of the script.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Answer<T> {
    Done(T),
    /// Redis counts anew.
    OtherEpoch,
    /// Somebody has not told yet what they took.
    Closed,
    /// A beat came too late to be taken for one.
    Late,
}

/// What was answered for the clients of a call, and Redis's clock.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Counted {
    pub(crate) redis_unix_ms: u64,
    pub(crate) grants: Vec<Grant>,
}

impl Script {
    pub(crate) async fn take(
        &mut self,
        link: &Link,
        keys: &Keys,
        terms: Terms<'_>,
        wishes: &[Wish],
        backs: &[Back],
    ) -> Result<Answer<Counted>, LinkError> {
        let clients = wishes.iter().map(|wish| wish.client).chain(backs.iter().map(|back| back.client));
        let mut arguments = vec!["take".to_owned(), terms.epoch.to_owned()];
        arguments.extend([u64::from(terms.limit), terms.window_ms, u64::from(terms.nodes)].map(text));
        arguments.push(wishes.len().to_string());
        for Wish { waiting, ahead, taken, .. } in wishes {
            arguments.extend([*waiting, *ahead, *taken].map(u64::from).map(text));
        }
        for Back { back, of_unix_ms, .. } in backs {
            arguments.extend([u64::from(*back), *of_unix_ms].map(text));
        }
        let value = self.run(link, keys, clients, &arguments).await?;
        counted(&value, wishes.len())
    }

    pub(crate) async fn assert(
        &mut self,
        link: &Link,
        keys: &Keys,
        epoch: &str,
        window_ms: u64,
        owed: &[Owed],
    ) -> Result<Answer<Counted>, LinkError> {
        let clients = owed.iter().map(|owed| owed.client);
        let mut arguments = vec!["assert".to_owned(), epoch.to_owned(), text(window_ms)];
        for Owed { owed, left_ms, .. } in owed {
            arguments.extend([u64::from(*owed), *left_ms].map(text));
        }
        let value = self.run(link, keys, clients, &arguments).await?;
        counted(&value, owed.len())
    }

    pub(crate) async fn beat(
        &mut self,
        link: &Link,
        keys: &Keys,
        beat: &Beat<'_>,
    ) -> Result<Answer<Register>, LinkError> {
        let call = match beat.call {
            Call::Live => "L",
            Call::Away => "A",
            Call::Leaving => "X",
        };
        let mut arguments = ["beat", beat.epoch, beat.fresh_epoch, beat.id, call].map(str::to_owned).to_vec();
        arguments.extend([beat.valid_until_unix_ms, beat.window_ms].map(text));
        arguments.extend([u64::from(beat.limit), u64::from(beat.share)].map(text));
        arguments.extend([LAPSE_MS, HOLD_MS, GRACE_MS, ASK_MS].map(text));
        for Row { id, age_ms, share } in beat.rows {
            arguments.extend([id.clone(), text(*age_ms), text(u64::from(*share))]);
        }
        let value = self.run(link, keys, std::iter::empty(), &arguments).await?;
        register(&value)
    }

    async fn run(
        &mut self,
        link: &Link,
        keys: &Keys,
        clients: impl Iterator<Item = u64>,
        arguments: &[String],
    ) -> Result<Value, LinkError> {
        let names: Vec<String> =
            std::iter::once(keys.registry()).chain(clients.map(|client| keys.client(client))).collect();
        let command = |name: &str, script: &str| {
            let mut command = redis::cmd(name);
            command.arg(script).arg(names.len()).arg(&names).arg(arguments);
            command
        };
        if let Some(digest) = &self.digest {
            match link.call(&command("EVALSHA", digest)).await {
                Err(LinkError::Redis(error)) if error.code() == Some("NOSCRIPT") => {}
                answer => return answer,
            }
        }
        // The text, once: Redis keeps it under its digest.
        let answer = link.call(&command("EVAL", TEXT)).await?;
        if self.digest.is_none() {
            self.digest = digest_of(link, &names).await;
        }
        Ok(answer)
    }
}

/// Asks the server for the digest rather than bringing an implementation of SHA-1 along; a key routes it within a cluster.
async fn digest_of(link: &Link, names: &[String]) -> Option<String> {
    let mut command: Cmd = redis::cmd("EVAL");
    command.arg("return redis.sha1hex(ARGV[1])").arg(1).arg(names.first()?).arg(TEXT);
    match link.call(&command).await {
        Ok(Value::BulkString(bytes)) => String::from_utf8(bytes).ok(),
        Ok(_) | Err(_) => None,
    }
}

/// What all wishes of a call have in common.
#[derive(Clone, Copy)]
pub(crate) struct Terms<'a> {
    pub(crate) epoch: &'a str,
    pub(crate) limit: u32,
    pub(crate) window_ms: u64,
    /// How many nodes share what is left.
    pub(crate) nodes: u32,
}

fn text(number: u64) -> String {
    number.to_string()
}

fn number(value: &Value) -> Option<u64> {
    match value {
        Value::Int(number) => u64::try_from(*number).ok(),
        _ => None,
    }
}

fn word(value: &Value) -> Option<String> {
    match value {
        Value::BulkString(bytes) => String::from_utf8(bytes.clone()).ok(),
        Value::SimpleString(text) => Some(text.clone()),
        _ => None,
    }
}

/// A number is the reason why there is no answer.
fn opened(value: &Value) -> Result<Answer<&Value>, LinkError> {
    match value {
        Value::Int(1) => Ok(Answer::OtherEpoch),
        Value::Int(2) => Ok(Answer::Closed),
        Value::Int(3) => Ok(Answer::Late),
        Value::Int(_) => Err(LinkError::Answer),
        value => Ok(Answer::Done(value)),
    }
}

impl<T> Answer<T> {
    fn then<U>(self, read: impl FnOnce(T) -> Option<U>) -> Result<Answer<U>, LinkError> {
        Ok(match self {
            Self::Done(inner) => Answer::Done(read(inner).ok_or(LinkError::Answer)?),
            Self::OtherEpoch => Answer::OtherEpoch,
            Self::Closed => Answer::Closed,
            Self::Late => Answer::Late,
        })
    }
}

/// `NOW` and a `GRANT` for each client, as the script packs them.
fn counted(value: &Value, clients: usize) -> Result<Answer<Counted>, LinkError> {
    opened(value)?.then(|value| {
        let Value::BulkString(bytes) = value else { return None };
        let (now, grants) = bytes.split_first_chunk()?;
        let now = unix_ms(*now)?;
        let (grants, rest) = grants.as_chunks::<16>();
        let grants = grants.iter().map(|grant| {
            let (given, rest) = grant.split_first_chunk()?;
            let (used, stop) = rest.split_first_chunk()?;
            Some(Grant {
                given: u32::from_be_bytes(*given),
                used: u32::from_be_bytes(*used),
                stop_unix_ms: unix_ms(stop.try_into().ok()?)?,
            })
        });
        let grants = grants.collect::<Option<Vec<Grant>>>()?;
        let whole = rest.is_empty() && grants.len() == clients;
        whole.then_some(Counted { redis_unix_ms: now, grants })
    })
}

/// A time as Lua has it, whose numbers are whole to 2^53.
fn unix_ms(bytes: [u8; 8]) -> Option<u64> {
    let number = f64::from_be_bytes(bytes);
    (0.0..9_007_199_254_740_992.0).contains(&number).then_some(number as u64)
}

fn register(value: &Value) -> Result<Answer<Register>, LinkError> {
    opened(value)?.then(|value| {
        let Value::Array(values) = value else { return None };
        let ([now, epoch, opens, live, share], rows) = values.split_first_chunk()?;
        let rows = rows.chunks_exact(3).take(MAX_NODES).map(|row| match row {
            [id, age, share] => {
                let share = u32::try_from(number(share)?).ok()?;
                Some(Row { id: word(id)?, age_ms: number(age)?, share })
            }
            _ => None,
        });
        Some(Register {
            now_unix_ms: number(now)?,
            epoch: word(epoch)?,
            opens_in_ms: number(opens)?,
            live: u32::try_from(number(live)?).ok()?,
            share: u32::try_from(number(share)?).ok()?,
            rows: rows.collect::<Option<Vec<Row>>>()?,
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packed(now: f64, grants: &[(u32, u32, f64)]) -> Vec<u8> {
        let mut bytes = now.to_be_bytes().to_vec();
        for (given, used, stop) in grants {
            bytes.extend(given.to_be_bytes());
            bytes.extend(used.to_be_bytes());
            bytes.extend(stop.to_be_bytes());
        }
        bytes
    }

    #[test]
    fn an_answer_has_the_time_and_a_grant_for_each_client() {
        let bytes = packed(1_800_000_000_000.0, &[(8, 1_000, 1_800_000_900_000.0), (0, 1 << 31, 1.0)]);
        let expected = Counted {
            redis_unix_ms: 1_800_000_000_000,
            grants: vec![
                Grant { given: 8, used: 1_000, stop_unix_ms: 1_800_000_900_000 },
                Grant { given: 0, used: 1 << 31, stop_unix_ms: 1 },
            ],
        };
        assert_eq!(counted(&Value::BulkString(bytes), 2).unwrap(), Answer::Done(expected));
    }

    #[test]
    fn a_number_says_why_there_is_no_answer_and_everything_else_is_none() {
        assert_eq!(counted(&Value::Int(1), 1).unwrap(), Answer::OtherEpoch);
        assert_eq!(counted(&Value::Int(2), 1).unwrap(), Answer::Closed);
        let one = packed(1.0, &[(1, 1, 2.0)]);
        let mut longer = one.clone();
        longer.push(0);
        let wrong = [
            one[..23].to_vec(),
            longer,
            packed(1.0, &[]),
            packed(1.0, &[(1, 1, 2.0), (1, 1, 2.0)]),
            packed(f64::NAN, &[(1, 1, 2.0)]),
            packed(1.0, &[(1, 1, f64::INFINITY)]),
            packed(1.0, &[(1, 1, -1.0)]),
            Vec::new(),
        ];
        for bytes in wrong {
            assert!(
                matches!(counted(&Value::BulkString(bytes.clone()), 1), Err(LinkError::Answer)),
                "{bytes:?}"
            );
        }
        assert!(matches!(counted(&Value::Int(7), 1), Err(LinkError::Answer)));
        assert!(matches!(counted(&Value::Array(Vec::new()), 1), Err(LinkError::Answer)));
    }
}
