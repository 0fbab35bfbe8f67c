use std::borrow::Cow;

use tower::{ServiceExt, service_fn};

use super::*;
use crate::backend::Route;
use crate::balance::tests_support::request;
use crate::balance::{Instance, RoundRobin};
use crate::endpoint::{Endpoint, Endpoints};
use crate::error::Kind;
use crate::upstream::Target;
use crate::waiting_room;

#[tokio::test]
async fn who_does_not_offer_an_endpoint_says_who_does() {
    let answer = async |_| Ok::<_, Error>(Response::new(Body::empty()));
    let chat = || Endpoints::from_iter([Endpoint::ChatCompletions]);
    let model = |name: String, offers| (name.into(), offers, service_fn(answer));
    let ask = |names: usize, endpoint| {
        let all = (0..names).map(|nth| model(format!("all-{nth:02}"), Endpoints::ALL));
        let models = ModelRouter::offering(all.chain([model("m".into(), chat())]));
        let asked = request();
        let payload = asked.payload.clone();
        let asked = InferenceRequest::new(endpoint, asked.headers.clone(), payload).unwrap();
        models.map(Clone::clone).oneshot(asked)
    };
    assert!(ask(1, Endpoint::ChatCompletions).await.is_ok());
    for (names, told) in
        [(0, "no other does"), (2, "these do: all-00, all-01"), (12, "all-09 and 2 more")]
    {
        let error = ask(names, Endpoint::Messages).await.unwrap_err();
        assert_eq!((error.kind(), error.param()), (Kind::Unsupported, Some("model")));
        assert!(error.message().ends_with(told), "{}", error.message());
    }
}

#[tokio::test]
async fn an_unknown_model_is_404_whatever_else_is_served() {
    let named = |name: &'static str| {
        let answer = move |_| async move { Ok::<_, Error>(Response::new(Body::from(name))) };
        (name, service_fn(answer))
    };
    let models = ModelRouter::new([named("m"), named("n")]);
    assert_eq!(models.clone().oneshot(request()).await.unwrap().status(), 200);
    let other = request().with_model("other");
    let error = models.clone().oneshot(other).await.unwrap_err();
    assert_eq!((error.kind(), error.param()), (Kind::NoModel, Some("model")));
    let router = EndpointRouter::new([(ServiceType::Embedding, models)]);
    assert_eq!(router.oneshot(request()).await.unwrap_err().kind(), Kind::NoModel);
}

/// Speaks OpenAI's language.
#[derive(Clone)]
struct Normal;

impl Backend for Normal {
    fn name(&self) -> &'static str {
        "normal"
    }
    fn path(&self, route: &Route<'_>) -> Option<Cow<'static, str>> {
        Some(route.endpoint.path().into())
    }
}

/// A router of one instance with one place, which serves these models, built over another.
fn serving<C>(
    state: &Arc<InstanceState>,
    client: C,
    models: &[&str],
    build: impl FnOnce(Builder<Normal, C>) -> Router<Normal, C>,
) -> Router<Normal, C>
where
    C: Clone,
{
    let waiting = waiting_room::Settings::default().with_places(10);
    let mut group = Group::new(RoundRobin::new()).waiting_room(waiting);
    for model in models {
        let target: Target = "http://127.0.0.1:1".parse().unwrap();
        let upstream = Upstream::new(Normal, target, client.clone());
        group = group.instance(*model, Instance::with_state(Arc::clone(state), upstream));
    }
    build(Router::builder().service(ServiceType::Chat, group))
}

/// Answers at once. Its place is free when the test drops the answer.
fn engine()
-> impl Service<Request<Payload>, Response = Response<Body>, Error = Error, Future: Send> + Clone + Send
{
    service_fn(async |_| Ok(Response::new(Body::from(r#"{"choices":[]}"#))))
}

fn one_place() -> Arc<InstanceState> {
    Arc::new(InstanceState::new("engine").with_max_concurrency(1))
}

#[tokio::test(start_paused = true)]
async fn a_place_is_free_for_whoever_waits_for_any_model_of_the_instance() {
    let state = one_place();
    let router = serving(&state, engine(), &["a", "b"], Builder::build);
    let now = tokio::time::Instant::now();
    let first = router.clone().oneshot(request().with_model("a")).await.unwrap();
    assert_eq!((router.instances().count(), state.in_flight()), (1, 1));
    let mut second = tokio_test::task::spawn(router.oneshot(request().with_model("b")));
    assert!(second.poll().is_pending());
    drop(first);
    assert!(second.is_woken(), "it was told at once");
    assert_eq!(second.await.unwrap().status(), 200);
    assert_eq!(tokio::time::Instant::now(), now);
}

#[tokio::test(start_paused = true)]
async fn those_who_wait_stand_in_one_line_when_a_router_takes_the_place_of_another() {
    let state = one_place();
    let before = serving(&state, engine(), &["a"], Builder::build);
    let running = before.clone().oneshot(request().with_model("a")).await.unwrap();
    let mut first = tokio_test::task::spawn(before.clone().oneshot(request().with_model("a")));
    assert!(first.poll().is_pending());

    let after = serving(&state, engine(), &["b", "a"], |builder| builder.succeed(&before));
    let mut second = tokio_test::task::spawn(after.clone().oneshot(request().with_model("a")));
    let mut other = tokio_test::task::spawn(after.oneshot(request().with_model("b")));
    drop(before);
    assert!(second.poll().is_pending() && other.poll().is_pending());
    drop(running);
    assert!(first.is_woken() && second.poll().is_pending(), "who came first is served first");
    let Poll::Ready(Ok(answer)) = first.poll() else { panic!("its place was free") };
    assert!(other.is_woken() && other.poll().is_pending(), "who waits for another was told, too");
    drop(answer);
    assert!(second.is_woken() && other.is_woken());
}

#[tokio::test(start_paused = true)]
async fn a_place_goes_to_whoever_has_waited_for_the_longest_whatever_the_model() {
    let state = one_place();
    let router = serving(&state, engine(), &["a", "b", "c"], Builder::build);
    let running = router.clone().oneshot(request().with_model("a")).await.unwrap();
    let served = Arc::new(std::sync::Mutex::new(Vec::new()));
    let mut tasks = Vec::new();
    for name in ["c", "b", "a", "c", "b", "a"] {
        tokio::time::sleep(std::time::Duration::from_millis(1)).await;
        let (router, served) = (router.clone(), Arc::clone(&served));
        tasks.push(tokio::spawn(async move {
            let answer = router.oneshot(request().with_model(name)).await.unwrap();
            served.lock().unwrap().push(name);
            tokio::time::sleep(std::time::Duration::from_millis(1)).await;
            drop(answer);
        }));
        tokio::task::yield_now().await;
    }
    drop(running);
    for task in tasks {
        task.await.unwrap();
    }
    assert_eq!(*served.lock().unwrap(), ["c", "b", "a", "c", "b", "a"]);
}

#[tokio::test]
async fn a_model_that_may_be_known_later_is_503_and_not_404() {
    let chat = |incomplete| {
        let group = Group::<Normal, _>::new(RoundRobin::new()).incomplete(incomplete);
        let group = group.instance("a", {
            let target: Target = "http://127.0.0.1:1".parse().unwrap();
            Instance::new("a", Upstream::new(Normal, target, engine()))
        });
        Router::builder().service(ServiceType::Chat, group).build()
    };
    let ask = |router: Router<Normal, _>| router.oneshot(request().with_model("b"));
    let error = ask(chat(true).map_clients(Clone::clone)).await.unwrap_err();
    assert_eq!((error.kind(), error.param()), (Kind::NoInstance, Some("model")));
    assert!(error.retry_after().is_some());
    assert_eq!(ask(chat(false)).await.unwrap_err().kind(), Kind::NoModel);
}

#[tokio::test]
async fn a_router_s_gateway_lists_its_models_and_an_upstream_is_called_by_its_url() {
    struct Plain;
    impl Backend for Plain {
        fn name(&self) -> &'static str {
            "plain"
        }
        fn path(&self, route: &Route<'_>) -> Option<Cow<'static, str>> {
            Some(route.endpoint.path().into())
        }
    }
    let client =
        service_fn(async |_: Request<Payload>| Ok::<_, Error>(Response::new(Body::empty())));
    let target: Target = "http://engine:8000/v1".parse().unwrap();
    let upstream = || Upstream::new(Plain, target.clone(), client);
    let chat = Group::new(RoundRobin::new())
        .instance("zebra", upstream())
        .instance("ant", upstream().with_name("named"));
    let router = Router::builder().service(ServiceType::Chat, chat).build();
    let mut names: Vec<_> = router.instances().map(|state| state.id().to_owned()).collect();
    names.sort();
    assert_eq!(names, ["http://engine:8000/v1", "named"]);
    let asked = Request::get("/v1/models").body(http_body_util::Empty::<bytes::Bytes>::new());
    let listed = router.into_gateway().oneshot(asked.unwrap()).await.unwrap();
    let listed = http_body_util::BodyExt::collect(listed.into_body()).await.unwrap().to_bytes();
    let listed: serde_json::Value = serde_json::from_slice(&listed).unwrap();
    assert_eq!(
        (&listed["data"][0]["id"], &listed["data"][1]["id"]),
        (&"ant".into(), &"zebra".into())
    );
}
