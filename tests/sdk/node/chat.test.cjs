// Chat, embeddings and models, over both wires.

const assert = require("node:assert/strict");
const { test } = require("node:test");
const {
  ADAPTERS, CALLS, HELLO, PROMPT_TOKENS, TEXT, TOOLS, WORDS, client, control,
} = require("./support.cjs");

const api = client();

function calls(message) {
  return message.tool_calls.map((call) => [call.function.name, JSON.parse(call.function.arguments)]);
}

for (const adapter of ADAPTERS) {
  const ask = (script, more) =>
    api.chat.completions.create({ model: `${adapter}-${script}`, messages: HELLO, ...more });

  test(`${adapter}: an answer is whole`, async () => {
    const answer = await ask("text");
    assert.equal(answer.choices.length, 1);
    assert.equal(answer.choices[0].message.content, TEXT);
    assert.equal(answer.choices[0].finish_reason, "stop");
    assert.equal(answer.usage.prompt_tokens, PROMPT_TOKENS);
    assert.equal(answer.usage.completion_tokens, WORDS.length);
    assert.ok(answer._request_id);
  });

  test(`${adapter}: deltas arrive one by one`, async () => {
    const heard = [];
    for await (const chunk of await ask("stepped", { stream: true })) {
      const { content } = chunk.choices[0].delta;
      if (!content) continue;
      heard.push(content);
      // The next word is not said before this one was heard.
      if (heard.length < WORDS.length) await control(adapter, "step", "POST");
    }
    assert.deepEqual(heard, WORDS);
  });

  test(`${adapter}: usage ends a stream that asked for it`, async () => {
    const chunks = [];
    const more = { stream: true, stream_options: { include_usage: true } };
    for await (const chunk of await ask("text", more)) chunks.push(chunk);
    const last = chunks.pop();
    assert.deepEqual(last.choices, []);
    assert.equal(last.usage.total_tokens, PROMPT_TOKENS + WORDS.length);
    assert.ok(chunks.every((chunk) => !chunk.usage));
  });

  test(`${adapter}: two functions are called at once`, async () => {
    const [choice] = (await ask("tools", { tools: TOOLS })).choices;
    assert.equal(choice.finish_reason, "tool_calls");
    assert.deepEqual(calls(choice.message), CALLS);
  });

  test(`${adapter}: streamed calls add up`, async () => {
    const model = `${adapter}-tools`;
    const stream = api.chat.completions.stream({ model, messages: HELLO, tools: TOOLS });
    const [choice] = (await stream.finalChatCompletion()).choices;
    assert.equal(choice.finish_reason, "tool_calls");
    assert.deepEqual(calls(choice.message), CALLS);
  });

  test(`${adapter}: embeddings are the same as base64, the SDK's default, and as floats`, async () => {
    const model = `${adapter}-embed`;
    const input = ["one", "zwei Wörter 🦀"];
    const given = await api.embeddings.create({ model, input });
    const floats = await api.embeddings.create({ model, input, encoding_format: "float" });
    const vectors = (answer) => answer.data.map((item) => Array.from(item.embedding));
    assert.equal(vectors(given)[0][0], "one".length / 8);
    assert.deepEqual(vectors(given), vectors(floats));
    assert.equal(floats.data.length, input.length);
  });
}

test("every name is listed, and can be retrieved", async () => {
  const names = [];
  for await (const model of api.models.list()) names.push(model.id);
  for (const name of ["normal-text", "ollama-embed", "acme/tiny:1.5b"]) {
    assert.equal(names.filter((listed) => listed === name).length, 1, name);
    assert.equal((await api.models.retrieve(name)).id, name);
  }
});
