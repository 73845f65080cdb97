use super::*;

#[test]
fn a_rate_reads_as_it_is_written() {
    for (text, interval) in [
        ("60/min", 1_000_000_000),
        ("600/min", 100_000_000),
        ("1/s", 1_000_000_000),
        ("7/min", 8_571_428_572),
        ("1/d", 86_400_000_000_000),
        ("1000000/s", 1_000),
        ("50/w", 12_096_000_000_000),
        ("1/202min", 12_120_000_000_000),
        ("3/2h", 2_400_000_000_000),
        ("1000000/30d", 2_592_000_000),
        ("1/52w", 31_449_600_000_000_000),
    ] {
        let refill = Refill::parse(text).unwrap();
        assert_eq!(refill.interval().nanos(), interval, "{text}");
        assert_eq!(Refill::decode(refill.encode()), Some(refill), "{text}");
        assert_eq!(refill.to_string(), text);
    }
}

#[test]
fn what_is_not_a_rate_says_why() {
    for (text, error) in [
        ("60", UnitError::NotARate),
        ("/min", UnitError::NotARate),
        ("-1/s", UnitError::NotARate),
        ("1.5/s", UnitError::NotARate),
        ("60/minute", UnitError::NotARate),
        ("60/mo", UnitError::NotARate),
        ("60/1_min", UnitError::NotARate),
        ("_60/min", UnitError::NotARate),
        ("6__0/min", UnitError::NotARate),
        ("60/-2min", UnitError::NotARate),
        ("60/2", UnitError::NotARate),
        ("60/0min", UnitError::RateTooFast),
        ("1/367d", UnitError::RateTooSlow),
        ("1/53w", UnitError::RateTooSlow),
        ("1/99999999999s", UnitError::RateTooSlow),
        ("+5/s", UnitError::NotARate),
        ("0/s", UnitError::ZeroRate),
        ("2000000/s", UnitError::RateTooFast),
        ("99999999999/d", UnitError::RateTooFast),
    ] {
        assert_eq!(Refill::parse(text), Err(error), "{text}");
    }
    for code in [
        0,
        1,
        1 << 32,
        7 << 61 | 1 << 32 | 1,
        u64::MAX,
        4 << 61 | 53 << 32 | 1,
    ] {
        assert_eq!(Refill::decode(code), None, "{code:x}");
    }
}

#[test]
fn digits_may_be_grouped() {
    assert_eq!(Refill::parse("250_000/min"), Refill::parse("250000/min"));
    assert_eq!(Refill::parse("1/1_000s").unwrap().to_string(), "1/1000s");
    assert_eq!(parse_span("1_000s"), parse_span("1000s"));
    assert_eq!(parse_size("1_000_000B"), parse_size("1MB"));
    assert_eq!(ungrouped("25_0"), Some("250".into()));
    for text in ["", "_", "1_", "_1", "1__0", "1,000", "1_x"] {
        assert_eq!(ungrouped(text), None, "{text}");
    }
}

#[test]
fn a_minute_has_two_names_everywhere() {
    assert_eq!(Refill::parse("60/m"), Refill::parse("60/min"));
    assert_eq!(Refill::parse("60/m").unwrap().to_string(), "60/min");
    assert_eq!(parse_span("5min"), parse_span("5m"));
    assert_eq!(write_span(parse_span("5min").unwrap()), "5m");
}

#[test]
fn a_length_of_time_reads_as_it_is_written() {
    for (text, seconds) in [
        ("1s", 1),
        ("10s", 10),
        ("5m", 300),
        ("1h", 3_600),
        ("366d", 31_622_400),
        ("1w", 604_800),
    ] {
        assert_eq!(parse_span(text), Ok(Span::from_seconds(seconds)), "{text}");
    }
    for text in [
        "", "10", "s", "-1s", "+1s", "1.5h", "1 s", "1minute", "1S", "10sec", "٣s",
    ] {
        assert_eq!(parse_span(text), Err(UnitError::NotASpan), "{text}");
    }
    for text in ["0s", "367d", "53w", "18446744073709551615w"] {
        assert_eq!(parse_span(text), Err(UnitError::SpanOutOfRange), "{text}");
    }
    assert_eq!(parse_span("1mo"), Err(UnitError::NoFixedLength));
}

#[test]
fn a_length_of_time_is_written_as_it_reads() {
    for text in ["1s", "90s", "5m", "36h", "1d", "2w", "366d"] {
        assert_eq!(write_span(parse_span(text).unwrap()), text);
    }
}

#[test]
fn a_size_reads_as_it_is_written() {
    for (text, bytes) in [
        ("1B", 1),
        ("300KB", 300_000),
        ("1MB", 1_000_000),
        ("100MiB", 104_857_600),
        ("1GB", 1_000_000_000),
        ("2GiB", 2_147_483_648),
        ("1000GB", SIZE_MAX),
    ] {
        assert_eq!(parse_size(text), Ok(bytes), "{text}");
    }
    for text in [
        "", "1", "MB", "1 MB", "1.5MB", "-1B", "1mb", "1Mb", "1M", "1TB", "1KBs",
    ] {
        assert_eq!(parse_size(text), Err(UnitError::NotASize), "{text}");
    }
    for text in [
        "0B",
        "0MB",
        "1001GB",
        "99999999999999999999B",
        "18446744073709551615GB",
    ] {
        assert_eq!(parse_size(text), Err(UnitError::SizeOutOfRange), "{text}");
    }
}

#[test]
fn a_percentage_reads_as_it_is_written() {
    assert_eq!(
        Percent::parse("20%").unwrap().of(Span::from_seconds(10)),
        Span::from_seconds(2)
    );
    for text in ["20", "%", "101%", "-1%", "2.5%"] {
        assert_eq!(
            Percent::parse(text),
            Err(UnitError::NotAPercentage),
            "{text}"
        );
    }
}
