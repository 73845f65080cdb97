use super::*;
use crate::base::time::{Span, Timestamp};
use crate::fleet::take::{CounterName, Numbers, ProxyId, Rest};

const LOGIN: Login<'_> = Login {
    user: Some("sluicegate"),
    password: Some("secret"),
    database: 3,
};

const fn take(numbers: Numbers) -> Take {
    Take {
        counter: CounterName([0xa5; 16]),
        numbers,
        proxy: ProxyId(0xbeef),
        seq: 7,
        spent: 1,
        extra: 2,
        refund: 3,
        since: 4,
        rest: Rest::Keep,
        need: 5,
        want: 6,
        lock: Span::ZERO,
    }
}

const ROLLING: Take = take(Numbers::Rolling {
    quota: 100,
    window: Span::from_seconds(60),
});

const CALENDAR: Take = take(Numbers::Calendar {
    quota: 100,
    start: Timestamp::from_micros(1_000),
    end: Timestamp::from_micros(2_000),
});

/// A call without the lengths of its parts.
fn words(call: &[u8]) -> Vec<String> {
    let text = String::from_utf8(call.to_vec()).unwrap();
    let lines = text.split("\r\n").filter(|line| !line.starts_with('$'));
    lines.map(|line| line.replace(SCRIPT, "SCRIPT")).collect()
}

#[test]
fn a_call_logs_in_takes_and_quits() {
    let call = encode(LOGIN, Form::Digest, &[ROLLING, CALENDAR]);
    let key = "sg1:{a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5}";
    let words = words(&call).join(" ");
    assert_eq!(
        words,
        format!(
            "*3 AUTH sluicegate secret *2 SELECT 3 \
             *18 EVALSHA {SCRIPT_SHA} 1 {key} r 100 60000000 0 000000000000beef \
             7 1 2 3 4 k 5 6 0 \
             *18 EVALSHA {SCRIPT_SHA} 1 {key}:2000 c 100 2000 1000 000000000000beef \
             7 1 2 3 4 k 5 6 0 *1 QUIT "
        )
    );
    let plain = encode(Login::default(), Form::Digest, &[]);
    assert_eq!(plain, b"*1\r\n$4\r\nQUIT\r\n");
}

#[test]
fn the_text_of_the_script_is_sent_once() {
    let call = encode(Login::default(), Form::Text, &[ROLLING, ROLLING]);
    let words = words(&call);
    assert_eq!(words.iter().filter(|word| *word == "EVAL").count(), 1);
    assert_eq!(words.iter().filter(|word| *word == "EVALSHA").count(), 1);
}

#[test]
fn a_call_has_so_many_takes_at_most() {
    let call = encode(Login::default(), Form::Digest, &[ROLLING; 70]);
    let takes = words(&call)
        .iter()
        .filter(|word| *word == "EVALSHA")
        .count();
    assert_eq!(takes, TAKES_MAX);
}

const ANSWER: &str = "*10\r\n:6\r\n:7\r\n:0\r\n:0\r\n:-9\r\n:10\r\n:11\r\n:12\r\n:1\r\n:0\r\n";

#[test]
fn answers_are_read_in_the_order_of_the_takes() {
    let bytes = format!("+OK\r\n+OK\r\n{ANSWER}-OOM command not allowed\r\n+OK\r\n");
    let answers = decode(LOGIN, &[ROLLING, CALENDAR], bytes.as_bytes()).unwrap();
    let first = Answer {
        granted: 6,
        valid: Span::from_micros(7),
        left: -9,
        next: Span::from_micros(10),
        reset: Span::from_micros(11),
        now: 12,
        lapsed: true,
        ..Answer::default()
    };
    assert_eq!(answers, [Ok(first), Err(EngineError::Oom)]);
}

#[test]
fn every_cut_of_an_answer_is_noticed() {
    let bytes = format!("+OK\r\n+OK\r\n{ANSWER}+OK\r\n");
    for end in 0..bytes.len() {
        let cut = &bytes.as_bytes()[..end];
        assert_eq!(
            decode(LOGIN, &[ROLLING], cut),
            Err(EngineError::Truncated),
            "{end}"
        );
    }
    let more = format!("{bytes}+");
    let decoded = decode(LOGIN, &[ROLLING], more.as_bytes());
    assert_eq!(decoded, Err(EngineError::Garbage));
}

#[test]
fn no_other_reply_is_taken_for_an_answer() {
    let plain = Login::default();
    for other in [
        "HTTP/1.1 400 Bad Request\r\n\r\n",
        "$3\r\nabc\r\n",
        "+OK\r\n+OK\r\n",
        ":1\r\n+OK\r\n",
        "*9\r\n:1\r\n",
        "*-1\r\n+OK\r\n",
        "\r\n",
        &ANSWER.replace(":6", ":7"),
        &ANSWER.replace(":6", ":-1"),
        &ANSWER.replace(":6", ":"),
        &ANSWER.replace(":6", ":+6"),
        &ANSWER.replace(":6", ":0x6"),
        &ANSWER.replace(":6", ":99999999999999999999"),
        &ANSWER.replace(":6", "$1"),
        &ANSWER.replace(":12", ":9007199254740992"),
        &ANSWER.replace(":-9", ":-9007199254740992"),
        &ANSWER.replace(":1\r\n:0", ":2\r\n:0"),
        &format!("{ANSWER}+PONG\r\n"),
        &format!("+{}", "x".repeat(5_000)),
        &"x".repeat(5_000),
    ] {
        let decoded = decode(plain, &[ROLLING], other.as_bytes());
        assert_eq!(decoded, Err(EngineError::Garbage), "{other}");
    }
}

#[test]
fn every_error_has_its_reason() {
    for (error, reason) in [
        ("NOSCRIPT No matching script.", EngineError::NoScript),
        ("OOM command not allowed", EngineError::Oom),
        ("READONLY You can't write", EngineError::ReadOnly),
        ("MISCONF Redis is configured to", EngineError::ReadOnly),
        ("MOVED 3999 127.0.0.1:6381", EngineError::Moved),
        ("NOAUTH Authentication required.", EngineError::NoAuth),
        ("WRONGPASS invalid", EngineError::NoAuth),
        ("NOPERM this user has no", EngineError::NoPermission),
        ("BUSY Redis is busy", EngineError::Busy),
        ("ERR max number of clients reached", EngineError::Busy),
        ("LOADING Redis is loading", EngineError::Loading),
        (
            "ERR Error running script (call to f_1): @user_script:3: -OOM command",
            EngineError::Oom,
        ),
        ("WRONGTYPE Operation against", EngineError::Script),
        ("ERR unknown command", EngineError::Script),
        ("", EngineError::Script),
    ] {
        let bytes = format!("-{error}\r\n+OK\r\n");
        let decoded = decode(Login::default(), &[ROLLING], bytes.as_bytes());
        assert_eq!(decoded, Ok(vec![Err(reason)]), "{error}");
    }
    let closed = b"-ERR Protocol error: unauthenticated multibulk length\r\n";
    assert_eq!(
        decode(Login::default(), &[ROLLING], closed),
        Err(EngineError::NoAuth)
    );
    let refused = b"-ERR AUTH <password> called without any password configured\r\n";
    assert_eq!(decode(LOGIN, &[ROLLING], refused), Err(EngineError::NoAuth));
    let words: std::collections::BTreeSet<_> = EngineError::ALL.map(EngineError::word).into();
    assert_eq!(words.len(), EngineError::ALL.len());
}
