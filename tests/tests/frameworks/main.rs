//! What `docs/frameworks.md` says of the adapters, held against the adapters.
#![cfg(test)]

mod exchange;
mod page;
mod samples;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jairouter_adapters::{NAMES, by_name_with};
use jairouter_conformance::Exchanges;
use jairouter_core::{Backend, Endpoint, Route};

use crate::page::{COLUMNS, Row, Section};

/// Nothing of the kind can be asked of this endpoint.
const NOTHING: &str = "–";
/// It passes as it is.
const PASSES: &str = "=";

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

fn page() -> PathBuf {
    repository().join("docs/frameworks.md")
}

fn sections() -> Vec<Section> {
    page::read(&page())
}

fn backend(section: &Section) -> Arc<dyn Backend> {
    let backend = by_name_with(&section.name, &section.options());
    backend.unwrap_or_else(|| panic!("there is no {}", section.name)).unwrap()
}

/// What was recorded of an adapter's engine.
fn exchanges(name: &str) -> Option<Exchanges> {
    let folder = if name == "normal" { "openai" } else { name };
    let folder = repository().join("jairouter-adapters").join(folder);
    Exchanges::read(folder.join("tests/fixtures")).ok()
}

/// The endpoint, as the page calls it.
fn called(endpoint: Endpoint) -> &'static str {
    endpoint.path().trim_start_matches("/v1/")
}

fn endpoint(row: &Row) -> Endpoint {
    let found = Endpoint::ALL.iter().find(|endpoint| called(**endpoint) == row.endpoint);
    *found.unwrap_or_else(|| panic!("there is no {}", row.endpoint))
}

fn paths(backend: &dyn Backend, endpoint: Endpoint) -> Vec<String> {
    let path = |stream| backend.path(&Route::new(endpoint, "MODEL", stream));
    let mut paths: Vec<_> = [false, true].into_iter().filter_map(path).map(String::from).collect();
    paths.dedup();
    paths
}

/// What can be asked of an endpoint, in the order of the columns.
const fn applies(endpoint: Endpoint) -> [bool; 6] {
    const fn with(streaming: bool, tools: bool, usage: bool) -> [bool; 6] {
        [true, streaming, tools, tools, usage, true]
    }
    match endpoint {
        Endpoint::ChatCompletions | Endpoint::Messages | Endpoint::Responses => {
            with(true, true, true)
        }
        Endpoint::Completions
        | Endpoint::Transcriptions
        | Endpoint::ImageGenerations
        | Endpoint::ImageEdits => with(true, false, true),
        Endpoint::Speech => with(true, false, false),
        Endpoint::Embeddings | Endpoint::Rerank | Endpoint::Translations => {
            with(false, false, true)
        }
        _ => with(false, false, false),
    }
}

#[test]
fn every_adapter_is_on_the_page_and_nobody_else() {
    let sections = sections();
    let there: BTreeSet<_> = sections.iter().map(|section| &*section.name).collect();
    assert_eq!(there, NAMES.iter().copied().collect());
    let titles: BTreeSet<_> = sections.iter().map(Section::title).collect();
    assert_eq!(titles.len(), sections.len(), "none is there twice");
}

#[test]
fn every_endpoint_is_asked_where_the_page_says() {
    let sections = sections();
    for section in &sections {
        let (title, backend) = (section.title(), backend(section));
        let usual = sections.iter().find(|other| section.is_variant_of(other));
        for &endpoint in Endpoint::ALL {
            let rows: Vec<_> =
                section.rows.iter().filter(|row| row.endpoint == called(endpoint)).collect();
            let said = match rows[..] {
                [row] => row.paths.clone(),
                [] if section.lacks.iter().any(|lacks| lacks == called(endpoint)) => Vec::new(),
                // What a variant does not mention is as it is without the option.
                _ => match usual.filter(|_| rows.is_empty()) {
                    Some(usual) => paths(&*self::backend(usual), endpoint),
                    None => panic!("{title}: {} is there {} times", called(endpoint), rows.len()),
                },
            };
            assert_eq!(said, paths(&*backend, endpoint), "{title}: {}", called(endpoint));
        }
        for row in &section.rows {
            endpoint(row);
        }
    }
}

#[test]
fn every_cell_passes_or_is_empty() {
    for section in &sections() {
        let (title, backend) = (section.title(), backend(section));
        let exchanges = exchanges(&section.name);
        let (mut used, mut played) = (BTreeSet::new(), BTreeSet::new());
        for row in &section.rows {
            let endpoint = endpoint(row);
            for ((cell, column), applies) in row.cells.iter().zip(COLUMNS).zip(applies(endpoint)) {
                let place = format!("{title}: {}, {column}", row.endpoint);
                assert_eq!(cell == NOTHING, !applies, "{place}");
                // Cells hold nothing, a word of why they do, or what passes.
                for said in cell.split([' ', ',']).filter(|said| !said.is_empty()) {
                    if said == PASSES {
                        let passes = samples::passes(&*backend, endpoint, column);
                        assert_eq!(passes, Ok(()), "{place}");
                    } else if let Some(case) = said.strip_prefix('`') {
                        let case = case.trim_end_matches('`');
                        let all = exchanges.as_ref().unwrap_or_else(|| panic!("{place}: {case}"));
                        let shows = exchange::shows(all, case, &*backend, endpoint, column);
                        assert_eq!(shows, Ok(()), "{place}: {case}");
                        if played.insert(case) {
                            exchange::plays(all, case, section).assert(1);
                        }
                    } else if section.tests.contains_key(said) {
                        used.insert(said);
                    } else {
                        assert!(matches!(said, NOTHING | "refused"), "{place}: what is {said}?");
                    }
                }
            }
        }
        for (letter, proof) in &section.tests {
            assert!(proof.exists(), "{title}: {letter} is {proof:?}");
            assert!(used.contains(&**letter), "{title}: nothing refers to {letter}");
        }
    }
}

#[test]
fn models_and_health_are_where_the_page_says() {
    let (rows, tests) = page::about(&page());
    let there: Vec<_> = rows.iter().map(|row| &*row.name).collect();
    assert_eq!(there, NAMES);
    for row in &rows {
        let backend = by_name_with(&row.name, &[]).unwrap().unwrap();
        let method = if backend.models_request().is_some() { "POST" } else { "GET" };
        let (name, before) = backend.key_header();
        assert_eq!(row.models, format!("{method} {}", backend.models()), "{}", row.name);
        assert_eq!(row.health, backend.health(), "{}", row.name);
        assert_eq!(row.key, format!("{name}: {before}…"), "{}", row.name);
        for said in row.shown_by.split_whitespace() {
            if let Some(proof) = tests.get(said) {
                assert!(proof.exists(), "{}: {said} is {proof:?}", row.name);
                continue;
            }
            let all = exchanges(&row.name).unwrap();
            let is_it = |case: &str| all.rows().iter().find(|row| row.case == case);
            let shown = is_it(said.trim_matches('`')).map(|row| &*row.upstream.path);
            let is_asked = [backend.models(), backend.health()];
            assert!(shown.is_some_and(|path| is_asked.iter().any(|asked| asked == path)), "{said}");
        }
    }
}
