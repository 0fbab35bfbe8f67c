//! Ways of embedding, composing and extending JAiRouter, one file each:
//! `cargo run -p jairouter-examples --example NAME`.
//!
//! Inside a program of one's own:
//!
//! * `embed_in_axum`: the gateway inside an axum service, beside routes of its own;
//! * `embed_in_hyper`: the same in a hyper server, with the host's own shutdown;
//! * `embed_yaml`: a YAML file as that gateway, with its keys and limits;
//! * `hot_reload`: another configuration in the place of one that serves, while a stream goes on;
//! * `ask_in_process`: a typed question and its tokens, without a socket;
//! * `thirty_lines`: a gateway, whole;
//! * `in_process_engine`: a model in the program itself, behind the layers;
//! * `host_tests`: tests of a program that asks a model, without a model.
//!
//! Layers:
//!
//! * `custom_stack`: a stack by hand, of tower-http's layers, one of the example's and ours;
//! * `governed_stack`: limits, breakers, a waiting room and a fallback, composed by hand;
//! * `custom_layer`: a layer that does something where an answer ends.
//!
//! What the layers are given:
//!
//! * `custom_backend`: an engine that speaks `OpenAI`'s API with an accent;
//! * `custom_framework`: one that speaks otherwise, held against recorded exchanges by the kit;
//! * `custom_strategy`, `custom_limiter`, `custom_observer`, `custom_fallback`, `custom_transport`.

// Its examples are compiled, too.
#[cfg(doctest)]
#[doc = include_str!("../docs/writing-a-backend.md")]
struct WritingABackend;

#[cfg(test)]
mod tests {
    /// Without empty ones and comments, with its imports and its use.
    #[test]
    fn what_extends_the_library_is_under_sixty_lines() {
        for (name, source) in [
            ("backend", include_str!("custom_backend.rs")),
            ("fallback", include_str!("custom_fallback.rs")),
            ("limiter", include_str!("custom_limiter.rs")),
            ("observer", include_str!("custom_observer.rs")),
            ("strategy", include_str!("custom_strategy.rs")),
            ("transport", include_str!("custom_transport.rs")),
        ] {
            let program = source.split("#[cfg(test)]").next().unwrap_or_default();
            let lines = program.lines().map(str::trim);
            let lines = lines.filter(|line| !line.is_empty() && !line.starts_with("//")).count();
            assert!(lines < 60, "custom_{name}: {lines} lines");
        }
        let thirty =
            include_str!("thirty_lines.rs").split("#[cfg(test)]").next().unwrap_or_default();
        let lines = thirty.lines().filter(|line| !line.is_empty() && !line.starts_with("//"));
        assert!(lines.count() <= 30);
    }
}
