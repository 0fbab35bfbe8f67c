use super::*;

#[tokio::test(start_paused = true)]
async fn it_says_that_it_is_no_model() {
    let engine = Engine::default();
    let answer = value(chat(&engine, &json!({})).await.unwrap()).await;
    let content = answer["choices"][0]["message"]["content"].as_str().unwrap();
    assert!(content.starts_with("This is the simulated engine of JAiRouter. It is no model"));
    assert_eq!(answer["system_fingerprint"], "simulated");
}

#[tokio::test(start_paused = true)]
async fn the_same_request_is_answered_the_same_by_any_engine() {
    let ask = json!({"n": 2, "max_tokens": 9});
    let first = text(chat(&Engine::default(), &ask).await.unwrap()).await;
    assert_eq!(text(chat(&Engine::default(), &ask).await.unwrap()).await, first);
    let engine = Engine::default();
    let mut answers = Vec::new();
    for _ in 0..2 {
        let mut answer = value(chat(&engine, &ask).await.unwrap()).await;
        let id = answer["id"].take();
        answers.push((answer, id));
    }
    assert_eq!(answers[0].0, answers[1].0);
    assert_ne!(answers[0].1, answers[1].1, "an answer is told from another by its id");
}

#[tokio::test(start_paused = true)]
async fn limits_stops_choices_and_usage_are_what_was_asked_for() {
    let engine = Engine::default();
    for (ask, said, finish, tokens) in [
        (json!({"max_tokens": 3}), "This is the", "length", 3),
        (json!({"max_tokens": 9, "max_completion_tokens": 1}), "This", "length", 1),
        (json!({"stop": [" simulated"]}), "This is the", "stop", 3),
        (json!({"stop": "ulated", "max_tokens": 5}), "This is the sim", "stop", 4),
        (json!({"stop": ["engine", "", "is the"]}), "This ", "stop", 1),
        (json!({"stop": "This"}), "", "stop", 0),
        (json!({"stop": "engine", "max_tokens": 2}), "This is", "length", 2),
        (json!({"stop": null, "max_tokens": 1, "n": null}), "This", "length", 1),
    ] {
        let answer = value(chat(&engine, &ask).await.unwrap()).await;
        assert_eq!(answer["choices"][0]["message"]["content"], said, "{ask}");
        assert_eq!(answer["choices"][0]["finish_reason"], finish, "{ask}");
        let usage = json!({
            "prompt_tokens": 2, "completion_tokens": tokens, "total_tokens": tokens + 2,
        });
        assert_eq!(answer["usage"], usage, "{ask}");
    }
    let two = value(chat(&engine, &json!({"n": 2, "max_tokens": 1})).await.unwrap()).await;
    assert_eq!(two["choices"].as_array().unwrap().len(), 2);
    assert_eq!(two["choices"][1]["index"], 1);
    assert_eq!(two["usage"]["completion_tokens"], 2);
    let exact = Engine::builder().length(3).build();
    let answer = value(chat(&exact, &json!({"max_tokens": 3})).await.unwrap()).await;
    assert_eq!(answer["choices"][0]["finish_reason"], "stop", "nothing was left out");
}

fn tools() -> Value {
    let schema = json!({"type": "object", "required": ["city", "days"], "properties": {
        "city": {"type": "string", "enum": ["Paris"]}, "days": {"type": "integer"}, "more": {},
    }});
    json!({"tools": [
        {"type": "function", "function": {"name": "get_weather", "parameters": schema}},
        {"type": "function", "function": {"name": "get_time"}},
    ]})
}

#[tokio::test(start_paused = true)]
async fn a_tool_is_called_with_what_its_schema_requires() {
    let engine = Engine::default();
    for (choice, name, expected) in [
        (json!("auto"), "get_weather", json!({"city": "Paris", "days": 0})),
        (json!("required"), "get_weather", json!({"city": "Paris", "days": 0})),
        (json!({"type": "function", "function": {"name": "get_time"}}), "get_time", json!({})),
    ] {
        let mut ask = tools();
        ask["tool_choice"] = choice;
        let answer = value(chat(&engine, &ask).await.unwrap()).await;
        let call = &answer["choices"][0]["message"]["tool_calls"][0];
        assert_eq!((&call["function"]["name"], &call["type"]), (&json!(name), &json!("function")));
        assert!(call["id"].is_string());
        let arguments = call["function"]["arguments"].as_str().unwrap();
        assert_eq!(serde_json::from_str::<Value>(arguments).unwrap(), expected);
        assert_eq!(answer["choices"][0]["finish_reason"], "tool_calls");
        assert_eq!(answer["choices"][0]["message"]["content"], Value::Null);
    }
}

#[tokio::test(start_paused = true)]
async fn a_tool_s_result_or_a_forbidden_tool_is_answered_with_text() {
    let engine = Engine::default();
    let mut result = tools();
    result["messages"] = json!([
        {"role": "user", "content": "x"},
        {"role": "assistant", "content": null, "tool_calls": []},
        {"role": "tool", "tool_call_id": "1", "content": "y"},
    ]);
    let mut forbidden = tools();
    forbidden["tool_choice"] = json!("none");
    for ask in [result, forbidden] {
        let answer = value(chat(&engine, &ask).await.unwrap()).await;
        assert!(answer["choices"][0]["message"]["content"].is_string());
        assert_eq!(answer["choices"][0]["finish_reason"], "stop");
    }
}

#[tokio::test(start_paused = true)]
async fn a_json_answer_is_json_of_its_schema() {
    let engine = Engine::default();
    let schema =
        json!({"type": "object", "required": ["ok"], "properties": {"ok": {"type": "boolean"}}});
    for (format, expected) in [
        (json!({"type": "json_object"}), json!({"text": "simulated"})),
        (json!({"type": "json_schema", "json_schema": {"schema": schema}}), json!({"ok": true})),
        (json!({"type": "json_schema", "json_schema": {"name": "x"}}), json!({})),
    ] {
        let answer = value(chat(&engine, &json!({"response_format": format})).await.unwrap()).await;
        let content = answer["choices"][0]["message"]["content"].as_str().unwrap();
        assert_eq!(serde_json::from_str::<Value>(content).unwrap(), expected);
    }
    let plain = value(chat(&engine, &json!({"response_format": {"type": "text"}})).await.unwrap());
    assert!(plain.await["choices"][0]["message"]["content"].as_str().unwrap().starts_with("This"));
}

#[tokio::test(start_paused = true)]
async fn every_prompt_of_a_completion_has_its_choices() {
    let engine = Engine::default();
    for (prompt, n, choices, tokens) in [
        (json!("one two"), 1, 1, 2),
        (json!(["one two", "three"]), 2, 4, 3),
        (json!([1, 2, 3]), 1, 1, 3),
        (json!([[1, 2], [3]]), 1, 2, 3),
    ] {
        let ask = json!({"model": "m", "prompt": prompt, "n": n, "max_tokens": 4});
        let answer = value(post(&engine, "/v1/completions", &ask).await.unwrap()).await;
        assert_eq!(answer["choices"].as_array().unwrap().len(), choices, "{ask}");
        assert_eq!(answer["choices"][choices - 1]["text"], "This is the simulated");
        assert_eq!(answer["usage"]["prompt_tokens"], tokens, "{ask}");
        assert_eq!(answer["usage"]["completion_tokens"], 4 * choices, "{ask}");
    }
}

#[tokio::test(start_paused = true)]
async fn parts_of_a_message_are_counted_by_their_text() {
    let content = json!([
        {"type": "text", "text": "three words here"},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}},
    ]);
    let ask = json!({"messages": [{"role": "user", "content": content}]});
    let answer = value(chat(&Engine::default(), &ask).await.unwrap()).await;
    assert_eq!(answer["usage"]["prompt_tokens"], 3);
}
