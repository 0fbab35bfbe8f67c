//! What instances serve.

use super::*;

fn models(instance: &str) -> Models {
    let file = format!("model:\n  services:\n    chat:\n      instances:\n        - {instance}\n");
    good(&file).services[0].instances[0].models.clone()
}

fn name(name: &str, own: Option<&str>) -> ModelName {
    ModelName { name: name.into(), own: own.map(Into::into) }
}

#[test]
fn an_instance_serves_one_model_or_several_or_those_it_lists() {
    let one = models("{ base-url: 'http://h:1', name: a, model: b }");
    assert_eq!(one, Models::Given(vec![name("a", Some("b"))]));
    let list = models("{ base-url: 'http://h:1', models: [a, b] }");
    assert_eq!(list, Models::Given(vec![name("a", None), name("b", None)]));
    let map = models("{ base-url: 'http://h:1', models: { a: x, b: x } }");
    assert_eq!(map, Models::Given(vec![name("a", Some("x")), name("b", Some("x"))]));
    assert_eq!(models("{ base-url: 'http://h:1' }"), Models::Asked(vec![]));
}

#[test]
fn what_is_asked_for_its_models_is_called_by_its_place_and_no_other_is_called_the_same() {
    let config = good(
        "model:
  discovery: { interval: 2m }
  adapter-definitions: { ours: { type: extend, parent: vllm, models: { fast: own } } }
  fallback: { enabled: true, strategy: model, models: [whatever] }
  services:
    chat:
      instances:
        - { base-url: 'http://h:1' }
        - { base-url: 'http://h:2', adapter: ours, discovery: { timeout: 1s } }
        - { base-url: 'http://h:2', models: [a, b] }
        - { base-url: 'http://h:3', status: inactive }
    embedding:
      instances: [{ base-url: 'http://h:1' }]
",
    );
    let instances: Vec<_> = config.services.iter().flat_map(|one| &one.instances).collect();
    let ids: Vec<_> = instances.iter().map(|one| &*one.id).collect();
    assert_eq!(ids, ["h:1", "h:2", "chat/h:2", "h:3", "embedding/h:1"]);
    let asked: Vec<_> = instances.iter().map(|one| one.is_asked()).collect();
    assert_eq!(asked, [true, true, false, false, true]);
    assert_eq!(instances[1].models, Models::Asked(vec![name("fast", Some("own"))]));
    let times =
        |one: &Instance| (one.discovery.interval.as_secs(), one.discovery.timeout.as_secs());
    assert_eq!((times(instances[0]), times(instances[1])), ((120, 5), (120, 1)));
}
