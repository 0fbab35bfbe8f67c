use super::*;
use crate::Failure;

#[test]
fn a_url_holds_every_setting() {
    let url = "simulated://x?first-token=2s&rate=none&length=3&failure-rate=0.5&failure=stall&seed=7&concurrency=2&models=a,b%2Cc";
    let by_url: Engine = url.parse().unwrap();
    let built = Engine::builder()
        .first_token(Duration::from_secs(2))
        .rate(0.0)
        .length(3)
        .failure_rate(0.5)
        .failure(Failure::Stall)
        .seed(7)
        .concurrency(2)
        .models(["a", "b", "c"])
        .build();
    assert_eq!(by_url.settings(), built.settings());
    let plain: Engine = "simulated://x".parse().unwrap();
    assert_eq!(plain.settings(), Engine::default().settings());
}

#[test]
fn durations_rates_and_failures_are_read_as_people_write_them() {
    for (written, millis) in
        [("500ms", 500), ("2s", 2000), ("5m", 300_000), ("250", 250), ("0", 0), ("1.5s", 1500)]
    {
        let engine: Engine = format!("simulated://x?first-token={written}").parse().unwrap();
        assert_eq!(engine.settings().first_token.as_millis(), millis, "{written}");
    }
    for (written, rate) in [("0", None), ("none", None), ("0.5", Some(0.5)), ("2000", Some(2000.0))]
    {
        let engine: Engine = format!("simulated://x?rate={written}").parse().unwrap();
        assert_eq!(engine.settings().rate, rate, "{written}");
    }
    for (written, failure) in [
        ("503", Failure::Status(503)),
        ("refuse", Failure::Refuse),
        ("break", Failure::Break),
        ("break-midway", Failure::BreakMidway),
        ("stall", Failure::Stall),
        ("silent", Failure::Silent),
        ("error-event", Failure::ErrorEvent),
    ] {
        let engine: Engine = format!("simulated://x?failure={written}").parse().unwrap();
        assert_eq!(engine.settings().failure, failure, "{written}");
    }
}

#[test]
fn a_wrong_setting_is_named_with_what_is_allowed() {
    for (query, named, allowed) in [
        ("first-token=soon", "first-token=soon", "500ms"),
        ("first-token=2h", "first-token=2h", "5m"),
        ("first-token=61m", "first-token=61m", "at most an hour"),
        ("first-token=-1", "first-token=-1", "milliseconds"),
        ("rate=-1", "rate=-1", "0.001 to 1000000"),
        ("rate=inf", "rate=inf", "0.001 to 1000000"),
        ("rate=1e-9", "rate=1e-9", "none"),
        ("length=0", "length=0", "1 to 1000000"),
        ("length=1000001", "length=1000001", "1 to 1000000"),
        ("failure-rate=2", "failure-rate=2", "0 to 1"),
        ("failure-rate=NaN", "failure-rate=NaN", "0 to 1"),
        ("failure=200", "failure=200", "400 to 599"),
        ("failure=fire", "failure=fire", "break-midway"),
        ("seed=a", "seed=a", "whole number"),
        ("concurrency=0", "concurrency=0", "at least 1"),
        ("models=", "models=", "commas"),
        ("models=a,,b", "models=a,,b", "commas"),
        ("speed=1", "speed", "first-token, rate"),
        ("seed", "seed=", "whole number"),
        ("seed=1&seed=2", "seed", "twice"),
    ] {
        let error = format!("simulated://x?{query}").parse::<Engine>().unwrap_err().to_string();
        assert!(error.contains(named) && error.contains(allowed), "{query}: {error}");
    }
}

#[test]
fn everything_that_is_wrong_is_said_at_once() {
    let error = "simulated:///gpu?rate=x&seed=y&speed=1".parse::<Engine>().unwrap_err().to_string();
    for fault in ["a name is missing", "/gpu", "rate=x", "seed=y", "speed"] {
        assert!(error.contains(fault), "{error}");
    }
    let error = "http://x".parse::<Engine>().unwrap_err().to_string();
    assert!(error.contains("simulated://"), "{error}");
}
