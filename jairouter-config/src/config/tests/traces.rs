//! Which requests are traced, and who is told.

use super::*;

fn tracing(lines: &str) -> Tracing {
    good(&with("", &format!("tracing: {{ {lines} }}\n"))).tracing
}

#[test]
fn every_trace_that_begins_here_is_sampled_unless_the_file_says_how_many() {
    assert_eq!(good(&with("", "")).tracing, Tracing::default());
    for (text, ratio) in [("0", 0.0), ("0.25", 0.25), ("1", 1.0)] {
        for key in ["sampling-ratio", "samplingRatio", "sampling_ratio"] {
            assert_eq!(
                tracing(&format!("{key}: {text}")).sampling_ratio.to_bits(),
                f64::to_bits(ratio)
            );
        }
    }
    check(&[
        ("", "tracing: { sampling-ratio: 2 }\n", "1:", "from 0 to 1"),
        ("", "tracing: { sampling-ratio: -0.1 }\n", "1:", "from 0 to 1"),
        ("", "tracing: { sampling-ratio: some }\n", "1:", "from 0 to 1"),
        ("", "tracing: { sampling-ratio: NaN }\n", "1:", "from 0 to 1"),
        ("", "tracing: { ratio: 1 }\n", "1:", "sampling-ratio"),
        ("", "tracing: { otlp: }\n", "1:", "says nothing"),
    ]);
}

#[cfg(not(feature = "otlp"))]
#[test]
fn a_program_that_can_tell_nobody_says_so() {
    let tops = ["tracing: { otlp: { endpoint: 'http://c' } }\n", "tracing: { otlp: {} }\n"];
    for top in tops {
        check(&[("", top, "1:", "built without the feature 'otlp'")]);
    }
}

#[cfg(feature = "otlp")]
mod otlp {
    use super::*;

    fn environment<'a>(
        endpoint: Option<&'a str>,
        name: Option<&'a str>,
    ) -> impl Fn(&str) -> Option<String> + 'a {
        move |wanted| match wanted {
            "OTEL_EXPORTER_OTLP_ENDPOINT" => endpoint.map(Into::into),
            "OTEL_SERVICE_NAME" => name.map(Into::into),
            other => env(other),
        }
    }

    #[test]
    fn a_collector_is_named_by_the_file_or_else_by_the_environment() {
        let spans = |file: &str, endpoint, name| {
            let loaded = load(&with("", file), &environment(endpoint, name)).unwrap();
            let otlp = loaded.tracing.otlp?;
            Some((otlp.target.uri("/v1/traces".into()).unwrap().to_string(), otlp.service_name))
        };
        let of = |uri: &str, name: &str| Some((uri.to_owned(), name.to_owned()));
        assert_eq!(spans("", None, Some("n")), None);
        assert_eq!(spans("", Some(" "), None), None);
        let (env, file) =
            (Some("http://e:4318"), "tracing: { otlp: { endpoint: 'http://f:1' } }\n");
        assert_eq!(spans("", env, None), of("http://e:4318/v1/traces", "jairouter"));
        assert_eq!(spans(file, env, Some("n")), of("http://f:1/v1/traces", "n"));
        let file = "tracing: { otlp: { service-name: own } }\n";
        assert_eq!(spans(file, env, Some("n")), of("http://e:4318/v1/traces", "own"));
        for whole in ["http://f/a/v1/traces", "http://f/a/", "http://f/a"] {
            let file = format!("tracing: {{ otlp: {{ endpoint: '{whole}' }} }}\n");
            assert_eq!(spans(&file, None, None), of("http://f/a/v1/traces", "jairouter"));
        }
    }

    #[test]
    fn each_mistake_is_named_with_its_line_and_no_secret_is_repeated() {
        check(&[
            ("", "tracing: { otlp: {} }\n", "1:", "no 'endpoint'"),
            ("", "tracing: { otlp: { endpoint: 'c:4318' } }\n", "1:", "scheme"),
            ("", "tracing: { otlp: { endpoint: 'ftp://c' } }\n", "1:", "http://"),
            ("", "tracing: { otlp: { endpoint: 'http://c?q' } }\n", "1:", "query"),
            ("", "tracing: { otlp: { endpoint: 'http://c', timeout: 0 } }\n", "1:", "fail every"),
            ("", "tracing: { otlp: { endpoint: 'http://c', service-name: '' } }\n", "1:", "a name"),
            ("", "tracing: { otlp: { endpoint: 'http://c', tls: { ca: /x } } }\n", "1:", "no TLS"),
            ("", "tracing: { otlp: { endpoint: 'http://c', protocol: grpc } }\n", "1:", "endpoint"),
        ]);
        for top in [
            "tracing: { otlp: { endpoint: 'http://${TOKEN}@c' } }\n",
            "tracing: { otlp: { endpoint: 'http://c', headers: { a: \"${TOKEN}\\r\\nb\" } } }\n",
        ] {
            let shown = errors(&with("", top));
            assert!(!shown.is_empty() && !shown.concat().contains("sk-canary"), "{shown:#?}");
        }
        let wrong = load(&with("", ""), &environment(Some("sk-canary"), None)).unwrap_err();
        let shown = wrong[0].to_string();
        let names = shown.contains("OTEL_EXPORTER_OTLP_ENDPOINT");
        assert!(names && !shown.contains("sk-canary"), "{shown}");
    }

    #[test]
    fn what_a_collector_is_sent_along_is_printed_nowhere() {
        let otlp = "otlp: { endpoint: 'http://c', headers: { x-key: '${TOKEN}' } }";
        let config = tracing(otlp);
        assert_eq!(config.otlp.as_ref().unwrap().headers["x-key"], "sk-canary");
        let printed = format!("{config:?}");
        assert!(printed.contains("x-key") && !printed.contains("sk-canary"), "{printed}");
    }

    #[test]
    fn another_collector_acts_at_the_next_start_and_another_ratio_at_once() {
        let file = |lines: &str| good(&with("", &format!("tracing: {{ {lines} }}\n")));
        let before = file("sampling-ratio: 1, otlp: { endpoint: 'http://c' }");
        let ratio = file("sampling-ratio: 0, otlp: { endpoint: 'http://c' }");
        let other = file("sampling-ratio: 1, otlp: { endpoint: 'http://c', headers: { a: b } }");
        assert!(before.needs_restart(&ratio).is_empty());
        assert_eq!(before.needs_restart(&other), ["tracing.otlp"]);
    }
}
