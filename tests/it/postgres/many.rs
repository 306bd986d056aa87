//! Many requests at once on one connection each, and what they cost the database.

use std::{
    collections::BTreeMap,
    io::{Read, Write},
    net::TcpStream,
    time::Duration,
};

use super::cluster::Cluster;
use crate::server::{Key, Place, Server, now, psql};

const CROWD: usize = 1_000;

/// Sends all of them before the first answer is read.
pub fn at_once(server: &Server, requests: &[(&str, Key)]) -> Vec<TcpStream> {
    let connect = |_| TcpStream::connect(&server.address).unwrap();
    let mut streams: Vec<TcpStream> = requests.iter().map(connect).collect();
    for (stream, (path, key)) in streams.iter_mut().zip(requests) {
        let text = &key.text;
        let request =
            format!("GET {path} HTTP/1.1\r\nhost: x\r\nx-api-key: {text}\r\nconnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).unwrap();
    }
    streams
}

/// How many were answered with which status. A 503 says when to come again.
pub fn statuses(streams: Vec<TcpStream>) -> BTreeMap<u16, usize> {
    let mut counts = BTreeMap::new();
    for mut stream in streams {
        let mut answer = String::new();
        stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        stream.read_to_string(&mut answer).unwrap();
        let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap();
        assert!(status != 503 || answer.to_lowercase().contains("\r\nretry-after: "), "{answer}");
        *counts.entry(status).or_default() += 1;
    }
    counts
}

#[test]
fn flood_with_one_key_that_is_not_in_memory_makes_one_query() {
    let cluster = Cluster::start();
    cluster.sql("CREATE DATABASE harmony");
    let place = Place::at(&cluster.url("harmony"));
    place.init();
    let (key, server) = (place.key(&[]), place.serve());
    // By what they found: each new connection asks once for a key that cannot be.
    let by_the_database = || {
        let counted = "SELECT coalesce(sum(rows), 0) FROM pg_stat_statements WHERE query LIKE '%\"api_keys\".\"digest\" = $1%'";
        psql(counted, &place.database_url()).trim().parse::<u64>().unwrap()
    };
    psql("CREATE EXTENSION pg_stat_statements", &place.database_url());
    assert_eq!((server.metric("harmony_store_look_ups_total"), by_the_database()), (0, 0));
    let start = now();
    assert_eq!(statuses(at_once(&server, &vec![("/v1/whoami", key); CROWD])), [(200, CROWD)].into());
    println!("{CROWD} requests with one key that is not in memory: {:?}", start.elapsed());
    assert_eq!((server.metric("harmony_store_look_ups_total"), by_the_database()), (1, 1));
    assert_eq!(server.metric("harmony_store_refusals_total"), 0);
}
