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
