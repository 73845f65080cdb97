//! The script against its model: the same random takes, the same answers.

use crate::support::Redis;
use crate::takes::game;
use sluicegate::fleet::counter::Counter;
use sluicegate::fleet::redis::resp::{Form, Login, decode, encode, key};
use sluicegate::fleet::redis::{SCRIPT, SCRIPT_SHA};
use sluicegate::fleet::take::{Answer, Take};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;

/// The one line by which the script knows the time.
const CLOCK: &str = "redis.call('TIME')";

/// Games of about 35 takes; `GAMES` sets another number.
const GAMES: u64 = 2_000;

/// A connection on which the script runs with a clock of the test's.
struct Virtual {
    stream: BufReader<TcpStream>,
    digest: String,
}

impl Virtual {
    fn connect(redis: &Redis) -> Self {
        assert_eq!(SCRIPT.matches(CLOCK).count(), 1, "one source of time");
        let script = SCRIPT.replace(CLOCK, "{0, redis.call('GET', 'clock')}");
        let stream = TcpStream::connect(redis.address).expect("a connection");
        stream.set_nodelay(true).expect("a socket");
        let mut stream = BufReader::new(stream);
        let load = format!(
            "*3\r\n$6\r\nSCRIPT\r\n$4\r\nLOAD\r\n${}\r\n{script}\r\n",
            script.len()
        );
        stream.get_mut().write_all(load.as_bytes()).expect("sent");
        let (mut length, mut digest) = (String::new(), [0; 42]);
        stream.read_line(&mut length).expect("a length");
        assert_eq!(length, "$40\r\n", "a script that compiles");
        stream.read_exact(&mut digest).expect("a digest");
        let digest = String::from_utf8(digest[..40].to_vec()).expect("text");
        Self { stream, digest }
    }

    /// The script's answer to a take at this time.
    fn take(&mut self, clock: u64, take: &Take) -> Answer {
        let call = encode(Login::default(), Form::Digest, &[*take]);
        let call = String::from_utf8(call).expect("text");
        let call = call.replace(SCRIPT_SHA, &self.digest);
        let call = call.strip_suffix("*1\r\n$4\r\nQUIT\r\n").expect("a QUIT");
        let call = format!("SET clock {clock}\r\n{call}");
        self.stream
            .get_mut()
            .write_all(call.as_bytes())
            .expect("sent");
        let mut set = String::new();
        self.stream.read_line(&mut set).expect("a reply");
        assert_eq!(set, "+OK\r\n");
        let mut bytes = String::new();
        self.stream.read_line(&mut bytes).expect("a reply");
        assert!(bytes.starts_with('*'), "{bytes}\n{take:?}");
        for _ in 0..10 {
            self.stream.read_line(&mut bytes).expect("a number");
        }
        bytes.push_str("+OK\r\n");
        let answers = decode(Login::default(), &[*take], bytes.as_bytes());
        answers.unwrap_or_else(|error| panic!("{error}: {bytes}\n{take:?}"))[0].expect("an answer")
    }
}

/// A key lives until all units are back or the lock ends, and for the longest lease.
fn expires_late_enough(redis: &Redis, take: &Take, answer: &Answer) {
    let ttl = redis.ask(&format!("PTTL {}", key(take)));
    let ttl = ttl
        .lines()
        .next()
        .unwrap_or_default()
        .trim_start_matches(':');
    let ttl: u64 = ttl.parse().expect("a key that expires");
    let least = answer.reset.max(answer.locked).nanos() / 1_000_000 + 300_000;
    assert!(ttl >= least, "{ttl} ms, not {least}: {take:?} {answer:?}");
}

#[test]
fn the_script_answers_as_its_model_does() {
    let redis = Redis::start(&[]);
    let mut script = Virtual::connect(&redis);
    let games = std::env::var("GAMES").map_or(GAMES, |games| games.parse().expect("a number"));
    let mut takes = 0;
    for seed in 0..games {
        let mut counter = Counter::default();
        let mut last = None;
        for (place, (clock, take)) in game(seed).iter().enumerate() {
            let model = counter.take(*clock, take);
            let answer = script.take(*clock, take);
            takes += 1;
            assert_eq!(
                answer, model,
                "seed {seed}, take {place} at {clock}: {take:#?}"
            );
            last = Some((*take, answer));
        }
        if let Some((take, answer)) = last {
            expires_late_enough(&redis, &take, &answer);
        }
    }
    println!("{takes} takes");
    assert!(
        redis.ask("TTL clock").starts_with(":-1"),
        "no key without a use"
    );
}
