//! What is changed, in the file and in what is served.

use super::*;

#[tokio::test]
async fn instances_come_change_and_go_in_the_file_and_in_what_is_served() {
    let [one, two] = [engine().await, engine().await];
    let before = file("", &[one.url()]);
    let gateway = Gateway::start_yaml(&before);
    let read = || fs::read_to_string(gateway.config_path()).unwrap();

    let new = value!({"name": "n", "baseUrl": two.url(), "instanceId": "second"}).to_string();
    let (status, said) = call(&gateway, "POST", "/api/config/instance/chat", &new).await;
    assert_eq!((status, &said["data"]["version"]), (201, &value!(2)));
    assert_eq!(ask_model(&gateway, "n").await, 200, "served when it is said");
    assert!(read().starts_with(&before), "what was there stays, comments too: {}", read());

    let (status, _) =
        call(&gateway, "PUT", "/api/config/instance/chat/second", r#"{"name":"o"}"#).await;
    assert_eq!(
        (status, ask_model(&gateway, "n").await, ask_model(&gateway, "o").await),
        (200, 404, 200)
    );
    let (_, said) = call(&gateway, "GET", "/api/config/instance/chat/second", "").await;
    assert_eq!(said["data"]["models"], value!(["o"]));
    assert_eq!(said["data"]["config"]["baseUrl"], value!(two.url()));

    let (status, _) = call(&gateway, "DELETE", "/api/config/instance/chat/second", "").await;
    assert_eq!((status, ask_model(&gateway, "o").await, read()), (200, 404, before.clone()));

    // The older paths say and do the same.
    let (status, _) = call(&gateway, "POST", "/api/config/instance/add/chat", &new).await;
    assert_eq!(status, 201);
    let update = r#"{"instanceId":"second","instance":{"weight":3}}"#;
    let (status, _) = call(&gateway, "PUT", "/api/config/instance/update/chat", update).await;
    assert_eq!(status, 200);
    let (_, said) =
        call(&gateway, "GET", "/api/config/instance/info/chat?instanceId=second", "").await;
    assert_eq!(said["data"]["weight"], value!(3));
    let (_, said) = call(&gateway, "GET", "/api/config/instance/type/chat", "").await;
    assert_eq!(said["data"].as_array().map(Vec::len), Some(2));
    let path = "/api/config/instance/del/chat?instanceId=second";
    assert_eq!(call(&gateway, "DELETE", path, "").await.0, 200);
    assert_eq!(read(), before);
    // What was written is read again once, and is no other configuration.
    gateway.logged("the configuration is served again").await;
    let (_, said) = call(&gateway, "GET", "/api/config/version/current", "").await;
    assert_eq!(said["data"], value!(7));
}

#[tokio::test]
async fn services_come_change_and_go() {
    let one = engine().await;
    let gateway = Gateway::start_yaml(&file("", &[one.url()]));
    let new = value!({"instances": [{"name": "e", "base-url": one.url()}]}).to_string();
    let path = "/api/config/type/services/embeddings";
    assert_eq!(call(&gateway, "GET", path, "").await.0, 404);
    assert_eq!(call(&gateway, "POST", path, &new).await.0, 201);
    assert_eq!(call(&gateway, "POST", path, &new).await.0, 409);
    let (_, said) = call(&gateway, "GET", "/api/config/type/services", "").await;
    assert_eq!(said["data"], value!(["chat", "embedding"]));
    let change = r#"{"load-balance":{"type":"ip-hash"},"retry":{"max-attempts":1}}"#;
    assert_eq!(call(&gateway, "PUT", path, change).await.0, 200);
    let (_, said) = call(&gateway, "GET", "/api/loadbalancer/status", "").await;
    assert_eq!(said["data"][1]["strategy"], value!("ip-hash"));
    assert_eq!(call(&gateway, "PUT", path, r#"{"retry":null}"#).await.0, 200);
    let (_, said) = call(&gateway, "GET", path, "").await;
    assert!(said["data"]["retry"].is_null() && said["data"]["load-balance"].is_object());
    let (_, said) = call(&gateway, "GET", "/api/models", "").await;
    let expected = value!({"service": "embedding", "model": "e", "instances": [said["data"][1]["instances"][0]]});
    assert_eq!(said["data"][1], expected);
    assert_eq!(call(&gateway, "DELETE", path, "").await.0, 200);
    assert_eq!(call(&gateway, "DELETE", path, "").await.0, 404);
    assert_eq!(ask_model(&gateway, "m").await, 200);
}

// fault: O3
#[tokio::test]
async fn what_would_be_wrong_is_refused_with_its_line_and_changes_nothing() {
    let one = engine().await;
    // What the file holds at one key is not to be shown at another.
    let before = file("", &[one.url()]).replace("canary-upstream-secret", "\"${X:canary}\"");
    let gateway = Gateway::start_yaml(&before);
    let instance = "/api/config/instance/chat";
    for (method, path, body, status, says) in [
        ("POST", instance, r#"{"name":"n"}"#, 400, "base-url"),
        ("POST", instance, r#"{"name":"n","base-url":"file:///etc"}"#, 400, "URL"),
        ("POST", instance, r#"{"name":"n","base-url":"http://u:p@h"}"#, 400, "base-url"),
        (
            "POST",
            instance,
            r#"{"name":"n","base-url":"http://169.254.169.254"}"#,
            400,
            "link-local",
        ),
        (
            "POST",
            instance,
            r#"{"name":"n","base-url":"http://[fd00:ec2::254]"}"#,
            400,
            "link-local",
        ),
        ("POST", instance, r#"{"name":"n","base-url":"http://h","wieght":1}"#, 400, "weight"),
        ("POST", instance, r#"{"name":"n","base-url":"http://h","api-key":"***"}"#, 400, "***"),
        ("POST", instance, r#"{"name":"${HOME}","base-url":"http://h"}"#, 400, "by hand alone"),
        (
            "POST",
            instance,
            r#"{"name":"n","base-url":"http://h","weight":1,"Weight":2}"#,
            400,
            "twice",
        ),
        ("POST", instance, r#"{"name":"${X:canary}","base-url":"http://h"}"#, 400, "by hand alone"),
        ("POST", instance, r#"["name"]"#, 400, "object"),
        ("POST", instance, r#"{"name":"#, 400, "no JSON"),
        ("POST", "/api/config/instance/chta", "{}", 404, "did you mean 'chat'"),
        ("PUT", "/api/config/instance/chat/i9", "{}", 404, "i9"),
        ("PUT", "/api/config/instance/chat/i0", r#"{"weight":0}"#, 400, "weight"),
        ("PUT", "/api/config/instance/update/chat", r#"{"instance":{}}"#, 400, "instanceId"),
        ("DELETE", "/api/config/instance/chat/i0", "", 400, "at least one instance"),
        ("DELETE", "/api/config/instance/del/chat", "", 400, "instanceId"),
        ("DELETE", "/api/config/type/services/chat", "", 400, "services"),
        ("PUT", "/api/config/type/services/chat", r#"{"instances":[]}"#, 400, "instance"),
        ("GET", "/api/config/version/9", "", 404, "9"),
        ("GET", "/api/config/version/x", "", 400, "x"),
        ("POST", "/api/config/version/apply/9", "", 404, "9"),
        ("POST", "/api/config/version/rollback", "", 404, "before"),
        ("DELETE", "/api/config/version/1", "", 409, "served"),
        ("PATCH", instance, "", 405, "method"),
        ("GET", "/api", "", 404, "path"),
        ("GET", "/api/../metrics", "", 404, "path"),
    ] {
        let (was, said) = call(&gateway, method, path, body).await;
        let told = said["message"].as_str().unwrap();
        assert!(was == status && told.contains(says), "{method} {path} {body}: {was} {told}");
        if said["errorCode"] == "invalid_configuration" {
            let first = said["data"]["errors"][0].as_str().unwrap();
            assert!(first.as_bytes()[0].is_ascii_digit(), "it names the line: {first}");
        }
    }
    let (_, said) = call(&gateway, "GET", "/api/config/version/current", "").await;
    assert_eq!(said["data"], value!(1));
    assert_eq!(fs::read_to_string(gateway.config_path()).unwrap(), before);
    assert_eq!(ask_model(&gateway, "m").await, 200);
}

#[tokio::test]
async fn a_file_that_somebody_has_changed_or_that_cannot_be_written_stays_as_it_is() {
    let one = engine().await;
    let before = file("", &[one.url()]);
    let gateway = Gateway::start_yaml(&before);
    let path = gateway.config_path();
    let change = r#"{"weight":2}"#;
    let broken = before.replace("model:", "modle:");
    gateway.write(&broken);
    gateway.logged("the configuration stays").await;
    let (status, said) = call(&gateway, "PUT", "/api/config/instance/chat/i0", change).await;
    assert_eq!((status, &said["errorCode"]), (409, &value!("file_changed")));
    assert_eq!(fs::read_to_string(&path).unwrap(), broken);
    let (status, said) = call(&gateway, "POST", "/api/config/reload", "").await;
    assert_eq!((status, &said["errorCode"]), (400, &value!("invalid_configuration")));
    gateway.write(&before);
    fs::set_permissions(&path, PermissionsExt::from_mode(0o640)).unwrap();
    assert_eq!(call(&gateway, "PUT", "/api/config/instance/chat/i0", change).await.0, 200);
    let mode = fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o640, "others may read it as before");
    fs::remove_file(&path).unwrap();
    let (status, said) = call(&gateway, "PUT", "/api/config/instance/chat/i0", change).await;
    assert_eq!((status, &said["errorCode"]), (409, &value!("file_not_readable")));
    assert_eq!(ask_model(&gateway, "m").await, 200);
}

#[tokio::test]
async fn versions_are_kept_compared_and_gone_back_to() {
    let one = engine().await;
    let before = file("", &[one.url()]);
    let gateway = Gateway::start_yaml(&before);
    let change = r#"{"headers":{"x-secret":"canary-other-secret","x":"1"}}"#;
    assert_eq!(call(&gateway, "PUT", "/api/config/instance/chat/i0", change).await.0, 200);
    let (_, said) = call(&gateway, "GET", "/api/config/version/compare/1/2", "").await;
    let headers = "model.services.chat.instances[0].headers";
    let expected = value!([
        {"path": format!("{headers}.x-secret"), "kind": "changed", "from": "***", "to": "***"},
        {"path": format!("{headers}.x"), "kind": "added", "to": "***"}
    ]);
    assert_eq!((&said["data"]["totalChanges"], &said["data"]["changes"]), (&value!(2), &expected));
    let (_, said) = call(&gateway, "GET", "/api/config/version/2", "").await;
    assert_eq!(said["data"]["model"]["services"]["chat"]["instances"][0]["headers"]["x"], "***");
    assert_eq!(call(&gateway, "POST", "/api/config/version/rollback", "").await.0, 200);
    assert_eq!(fs::read_to_string(gateway.config_path()).unwrap(), before);
    assert_eq!(call(&gateway, "POST", "/api/config/version/apply/2", "").await.0, 200);
    let (_, said) = call(&gateway, "GET", "/api/config/version/info", "").await;
    let told = said["data"].as_array().unwrap().iter();
    let told: Vec<_> =
        told.map(|one| (one["version"].as_u64(), one["operation"].as_str())).collect();
    let expected = [
        (Some(4), Some("version 2 applied")),
        (Some(3), Some("version 1 applied")),
        (Some(2), Some("instance i0 of chat changed")),
        (Some(1), Some("start")),
    ];
    assert_eq!(told, expected);
    ask_model(&gateway, "m").await;
    assert!(one.requests().last().unwrap().contains("canary-other-secret"), "it acts");
    assert_eq!(call(&gateway, "DELETE", "/api/config/version/1", "").await.0, 200);
    let (_, said) = call(&gateway, "GET", "/api/config/version", "").await;
    assert_eq!(said["data"], value!([2, 3, 4]));
}

#[tokio::test]
async fn many_operators_at_once_change_one_thing_after_the_other() {
    let one = engine().await;
    let before = file("", &[one.url()]);
    let gateway = Gateway::start_yaml(&before);
    let add = async |nth: usize| {
        let new = value!({"name": format!("n{nth}"), "base-url": one.url(), "instance-id": nth.to_string()});
        let (status, said) =
            call(&gateway, "POST", "/api/config/instance/chat", &new.to_string()).await;
        assert_eq!(status, 201, "{said}");
        let path = format!("/api/config/instance/chat/{nth}");
        let (status, said) = call(&gateway, "PUT", &path, r#"{"weight":7}"#).await;
        assert_eq!(status, 200, "{said}");
        assert_eq!(ask_model(&gateway, &format!("n{nth}")).await, 200);
    };
    join_all((0..20).map(add)).await;
    let text = fs::read_to_string(gateway.config_path()).unwrap();
    assert_eq!((text.matches("weight: 7").count(), text.starts_with(&before)), (20, true));
    let (_, said) = call(&gateway, "GET", "/api/config/version/current", "").await;
    assert_eq!(said["data"], value!(41));
    join_all((0..20).map(async |nth: usize| {
        let path = format!("/api/config/instance/chat/{nth}");
        assert_eq!(call(&gateway, "DELETE", &path, "").await.0, 200);
    }))
    .await;
    assert_eq!(fs::read_to_string(gateway.config_path()).unwrap(), before);
}

#[tokio::test]
async fn who_leaves_in_the_middle_of_a_change_is_in_nobody_s_way() {
    let one = engine().await;
    let gateway = Gateway::start_yaml(&file("", &[one.url()]));
    for nth in 0..40 {
        let body = value!({"name": format!("n{nth}"), "base-url": one.url()}).to_string();
        let mut hasty = RawClient::connect(gateway.operators()).await;
        let head = "POST /api/config/instance/chat HTTP/1.1\r\nhost: localhost\r\n";
        hasty.send(format!("{head}content-length: {}\r\n\r\n{body}", body.len())).await;
        hasty.reset();
        let weight = format!(r#"{{"weight":{}}}"#, nth + 2);
        let (status, said) = call(&gateway, "PUT", "/api/config/instance/chat/i0", &weight).await;
        assert_eq!(status, 200, "{said}");
    }
    let text = fs::read_to_string(gateway.config_path()).unwrap();
    let (_, said) = call(&gateway, "GET", "/api/config/instance/chat", "").await;
    let served = said["data"].as_array().map_or(0, Vec::len);
    assert_eq!(text.matches("base-url").count(), served, "what is served is what is written");
    assert!(text.contains("weight: 41"), "{text}");
    let path = gateway.config_path();
    let beside = fs::read_dir(path.parent().unwrap()).unwrap().filter_map(Result::ok);
    let name = path.file_name().unwrap().to_str().unwrap().to_owned();
    let left =
        beside.filter(|one| one.file_name().to_string_lossy().starts_with(&format!("{name}.")));
    assert_eq!(left.count(), 0, "nothing is left beside it");
}

#[tokio::test]
async fn what_was_shown_may_be_sent_back() {
    let one = engine().await;
    let before = file("", &[one.url(), one.url()]);
    let gateway = Gateway::start_yaml(&before);
    let path = "/api/config/type/services/chat";
    let (_, said) = call(&gateway, "GET", path, "").await;
    assert!(said.to_string().contains("***"));
    let (status, _) = call(&gateway, "PUT", path, &said["data"].to_string()).await;
    assert_eq!((status, fs::read_to_string(gateway.config_path()).unwrap()), (200, before));
}
