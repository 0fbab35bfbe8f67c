//! The commands that print something.

use jairouter_tests::gateway::Gateway;

#[test]
fn every_shell_has_completions_and_people_a_page() {
    for (shell, part) in [
        ("bash", "complete -F _jairouter"),
        ("zsh", "#compdef jairouter"),
        ("fish", "complete -c jairouter"),
        ("powershell", "Register-ArgumentCompleter"),
        ("elvish", "edit:completion"),
    ] {
        let text = Gateway::run(&["completions", shell]);
        assert!(text.contains(part) && text.contains("doctor"), "{shell}: {text}");
    }
    let (text, succeeded) = Gateway::try_run(&["completions", "cmd"]);
    assert!(!succeeded && text.contains("possible values"), "{text}");
    let page = Gateway::run(&["man"]);
    assert!(page.contains(".TH jairouter 1"), "{page}");
    for part in [".SH SYNOPSIS", "check", "doctor", "completions", "Exit codes", "RUST_LOG"] {
        assert!(page.contains(part), "{part}: {page}");
    }
}

#[test]
fn the_help_of_every_command_says_how_it_ends_or_what_it_is_like() {
    let help = Gateway::run(&["--help"]);
    assert!(help.contains("Examples:") && help.contains("Exit codes:"), "{help}");
    let commands = help.lines().skip_while(|line| !line.starts_with("Commands:")).skip(1);
    let commands = commands.take_while(|line| !line.is_empty());
    let names: Vec<_> = commands.filter_map(|line| line.split_whitespace().next()).collect();
    assert!(names.contains(&"schema") && names.contains(&"keys"), "{names:?}");
    for name in names.iter().filter(|name| !["keys", "help"].contains(name)) {
        let help = Gateway::run(&[name, "--help"]);
        assert!(help.contains("Exit codes:") || help.contains("Example"), "{name}: {help}");
    }
    let (_, succeeded) = Gateway::try_run(&["--no-such-option"]);
    assert!(!succeeded);
}

#[test]
fn the_schema_is_json_and_says_what_it_is() {
    let schema: serde_json::Value = serde_json::from_str(&Gateway::run(&["schema"])).unwrap();
    assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
    let key = &schema["$defs"]["instance"]["properties"]["base-url"];
    assert!(key["description"].as_str().is_some_and(|text| text.contains("http")), "{key}");
}

#[test]
fn an_import_is_printed_and_what_is_not_in_it_is_said_beside_it() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let nginx = file(
        "llm.conf",
        "upstream llm {\n  least_conn;\n  zone llm 64k;\n  server 10.0.0.1:8000 weight=2;\n  server 10.0.0.2:8000;\n}\n",
    );
    let printed = Gateway::run(&["import", "nginx-upstream", &nginx]);
    assert!(printed.contains(&format!("{nginx}:3: 'zone' is not needed")), "{printed}");
    assert!(printed.contains("\n#   line 3: 'zone' is not needed"), "{printed}");
    // What is said beside it comes behind it here.
    let yaml = printed.lines().filter(|line| !line.starts_with(&nginx));
    let ours = file("jairouter.yaml", &yaml.collect::<Vec<_>>().join("\n"));
    assert!(Gateway::run(&["check", &ours]).contains("OK"));
    let wrong = file("wrong.yaml", "model_list: []\n");
    for (from, path) in [("litellm", &*wrong), ("olla", &*wrong), ("olla", "/no/such/file")] {
        let (text, succeeded) = Gateway::try_run(&["import", from, path]);
        assert!(!succeeded && text.contains(path), "{text}");
    }
    assert!(!Gateway::try_run(&["import", "haproxy", &wrong]).1);
}
