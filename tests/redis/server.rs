//! A Redis as an operator runs it: its rights, restarts and faults.

use crate::contract::{self, Timed};
use crate::support::{Redis, RedisEngine};
use sluicegate::base::time::Span;
use sluicegate::fleet::engine::{Engine, EngineError};
use sluicegate::fleet::redis::resp::{Form, Login};
use sluicegate::fleet::take::{CounterName, Numbers, ProxyId, Rest, Take};
use std::time::Duration;

impl Timed for RedisEngine<'_> {
    fn pass(&mut self, time: Span) {
        std::thread::sleep(Duration::from_nanos(time.nanos()));
    }
}

/// The rights of the filter's user, as the documentation has them.
pub(crate) const RIGHTS: &str = concat!(
    "resetkeys ~sg1:* resetchannels -@all +auth +select +quit +eval +evalsha ",
    "+time +hgetall +hset +hdel +pexpire"
);

const LOGIN: Login<'_> = Login {
    user: Some("sluicegate"),
    password: Some("secret"),
    database: 0,
};

/// A need of one unit; the number distinguishes the counters.
const fn need(counter: u8) -> Take {
    Take {
        counter: CounterName([counter; 16]),
        numbers: Numbers::Rolling {
            quota: 10,
            window: Span::from_seconds(60),
        },
        proxy: ProxyId(1),
        seq: 1,
        spent: 0,
        extra: 0,
        refund: 0,
        since: 0,
        rest: Rest::Return,
        need: 1,
        want: 1,
        lock: Span::ZERO,
    }
}

/// The only answer to one take.
fn one(engine: &RedisEngine<'_>, form: Form) -> Result<u64, EngineError> {
    let answers = engine.send(form, &[need(1)])?;
    answers[0].map(|answer| answer.granted)
}

#[test]
fn redis_keeps_the_contract() {
    let redis = Redis::start(&[]);
    contract::run(&mut redis.engine(Login::default()));
    for key in redis
        .ask("KEYS *")
        .lines()
        .filter(|key| key.starts_with("sg1:"))
    {
        let ttl = redis.ask(&format!("PTTL {key}"));
        let ttl: i64 = ttl
            .lines()
            .next()
            .unwrap()
            .trim_start_matches(':')
            .parse()
            .unwrap();
        assert!(
            ttl > 300_000,
            "{key} expires, but not with a lease: {ttl} ms"
        );
    }
}

#[test]
fn a_user_with_the_documented_rights_can_take_and_nothing_else() {
    let documented = include_str!("../../docs/global-limits.md");
    assert!(
        documented.contains(RIGHTS),
        "docs/global-limits.md has these rights:\n{RIGHTS}"
    );
    let redis = Redis::start(&[]);
    let answer = redis.ask(&format!("ACL SETUSER sluicegate on >secret {RIGHTS}"));
    assert!(answer.starts_with("+OK"), "{answer}");
    contract::run(&mut redis.engine(LOGIN));
    for (command, refusal) in [
        ("GET sg1:x", "-NOPERM"),
        ("HGETALL other", "-NOPERM"),
        ("FLUSHALL", "-NOPERM"),
        ("KEYS *", "-NOPERM"),
        ("CONFIG GET *", "-NOPERM"),
    ] {
        let answer = redis.ask(&format!("AUTH sluicegate secret\r\n{command}"));
        assert!(answer.contains(refusal), "{command}: {answer}");
    }
}

#[test]
fn every_missing_right_and_login_has_its_reason() {
    let redis = Redis::start(&[]);
    let mut engine = redis.engine(LOGIN);
    assert_eq!(
        one(&engine, Form::Digest),
        Err(EngineError::NoAuth),
        "no such user"
    );
    redis.ask(&format!("ACL SETUSER sluicegate on >secret {RIGHTS}"));
    assert_eq!(one(&engine, Form::Text), Ok(1));
    for command in ["evalsha", "hset", "hgetall", "pexpire", "time"] {
        redis.ask(&format!("ACL SETUSER sluicegate -{command}"));
        let refused = engine.send(Form::Digest, &[Take { seq: 99, ..need(2) }]);
        let refused = refused.expect("a login")[0];
        assert_eq!(refused, Err(EngineError::NoPermission), "without {command}");
        redis.ask(&format!("ACL SETUSER sluicegate +{command}"));
    }
    redis.ask("ACL SETUSER sluicegate resetkeys ~other:*");
    assert_eq!(engine.take(&need(3)), Err(EngineError::NoPermission));
    redis.ask("CONFIG SET requirepass other");
    let anonymous = redis.engine(Login::default());
    assert_eq!(one(&anonymous, Form::Digest), Err(EngineError::NoAuth));
    let without = Redis::start(&[]);
    let login = Login {
        user: None,
        ..LOGIN
    };
    assert_eq!(
        one(&without.engine(login), Form::Digest),
        Err(EngineError::NoAuth)
    );
}

#[test]
fn a_restart_forgets_the_script_and_with_aof_no_counter() {
    const AOF: [&str; 4] = ["--appendonly", "yes", "--appendfsync", "always"];
    let mut redis = Redis::start(&AOF);
    let engine = redis.engine(Login {
        database: 3,
        ..Login::default()
    });
    assert_eq!(one(&engine, Form::Digest), Err(EngineError::NoScript));
    let takes: Vec<Take> = (1..=64).map(need).collect();
    let answers = engine.send(Form::Text, &takes).expect("answers");
    assert!(
        answers
            .iter()
            .all(|answer| answer.is_ok_and(|answer| answer.granted == 1))
    );
    redis.restart(&AOF);
    let engine = redis.engine(Login {
        database: 3,
        ..Login::default()
    });
    assert_eq!(one(&engine, Form::Digest), Err(EngineError::NoScript));
    let other = Take {
        proxy: ProxyId(2),
        need: 10,
        want: 10,
        ..need(1)
    };
    let answer = engine.send(Form::Text, &[other]).expect("answers")[0].expect("an answer");
    assert_eq!(answer.granted, 9, "one is held or charged: {answer:?}");
}

#[test]
fn full_memory_and_a_replica_are_faults_with_a_reason() {
    let redis = Redis::start(&["--maxmemory", "100", "--maxmemory-policy", "noeviction"]);
    assert_eq!(
        one(&redis.engine(Login::default()), Form::Text),
        Err(EngineError::Oom)
    );
    let primary = Redis::start(&[]);
    let replica = Redis::start(&["--repl-diskless-sync-delay", "0"]);
    replica.ask(&format!("REPLICAOF 127.0.0.1 {}", primary.address.port()));
    let refused = one(&replica.engine(Login::default()), Form::Text);
    let reasons = [EngineError::ReadOnly, EngineError::Loading];
    assert!(
        refused.is_err_and(|error| reasons.contains(&error)),
        "{refused:?}"
    );
    let clustered = Redis::start(&["--cluster-enabled", "yes"]);
    let moved = one(&clustered.engine(Login::default()), Form::Text);
    assert_eq!(moved, Err(EngineError::Moved));
}

#[test]
fn a_slow_script_is_a_fault_with_a_reason() {
    let redis = Redis::start(&["--busy-reply-threshold", "10"]);
    let address = redis.address;
    let slow = std::thread::spawn(move || {
        let script = "*3\r\n$4\r\nEVAL\r\n$18\r\nwhile true do end \r\n$1\r\n0\r\n";
        let _ = crate::support::call(address, script.as_bytes());
    });
    // Until the script runs, and has run for long enough.
    let engine = redis.engine(Login::default());
    let busy = (0..500).find_map(|_| {
        std::thread::sleep(Duration::from_millis(10));
        one(&engine, Form::Text).err()
    });
    assert_eq!(busy, Some(EngineError::Busy));
    redis.ask("SCRIPT KILL");
    slow.join().expect("an end");
    assert_eq!(one(&engine, Form::Text), Ok(1));
}
