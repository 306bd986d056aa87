//! What the server does when its PostgreSQL is gone, stands by, hangs, is empty, or is asked by many at once.

pub mod cluster;
mod hanging;
mod load;
mod many;
mod outage;
mod plaintext;
mod standby;
mod together;
