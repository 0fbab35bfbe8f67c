// Which exception the SDK raises for what went wrong, and that the engine sees a caller leave.

const assert = require("node:assert/strict");
const net = require("node:net");
const { test } = require("node:test");
const { ADAPTERS, HELLO, OpenAI, WORDS, client, control } = require("./support.cjs");

const api = client();

// What an engine answers, and what its caller gets.
const REFUSALS = [
  [400, OpenAI.BadRequestError, 400],
  // The gateway's key for the engine is wrong, not the caller's.
  [401, OpenAI.InternalServerError, 502],
  [404, OpenAI.NotFoundError, 404],
  [422, OpenAI.UnprocessableEntityError, 422],
  [429, OpenAI.RateLimitError, 429],
  [500, OpenAI.InternalServerError, 500],
  [502, OpenAI.InternalServerError, 502],
  [503, OpenAI.InternalServerError, 503],
  [504, OpenAI.InternalServerError, 504],
];

async function raised(promise) {
  try {
    await promise;
  } catch (error) {
    return error;
  }
  return assert.fail("nothing was raised");
}

// Returns once the engine was asked for this script.
async function heard(adapter, script) {
  const deadline = Date.now() + 20_000;
  while ((await control(adapter, "last"))?.body.model !== script) {
    assert.ok(Date.now() < deadline, "the engine never heard of it");
  }
}

for (const adapter of ADAPTERS) {
  const ask = (script, more, options) =>
    api.chat.completions.create(
      { model: `${adapter}-${script}`, messages: HELLO, ...more }, options);

  for (const [status, exception, outward] of REFUSALS) {
    test(`${adapter}: a refusal with ${status} is a ${exception.name}`, async () => {
      const error = await raised(ask(`status-${status}`, { stream: status % 2 === 0 }));
      assert.equal(error.constructor, exception);
      assert.equal(error.status, outward);
      assert.ok(error.requestID);
    });
  }

  for (const script of ["midway", "broken"]) {
    test(`${adapter}: an error in a stream is raised after what came before (${script})`, async () => {
      const words = [];
      const error = await raised((async () => {
        for await (const chunk of await ask(script, { stream: true })) {
          words.push(chunk.choices[0].delta.content ?? "");
        }
      })());
      assert.equal(error.constructor, OpenAI.APIError);
      assert.equal(words.join(""), WORDS.slice(0, 2).join(""));
    });
  }

  test(`${adapter}: leaving the loop over a stream stops the engine`, async () => {
    for await (const chunk of await ask("endless", { stream: true })) {
      if (chunk.choices[0].delta.content) break;
    }
    await control(adapter, "left");
  });

  test(`${adapter}: aborting a request before its answer stops the engine`, async () => {
    const controller = new AbortController();
    const asked = raised(ask("silent", {}, { signal: controller.signal }));
    await heard(adapter, "silent");
    controller.abort();
    assert.equal((await asked).constructor, OpenAI.APIUserAbortError);
    await control(adapter, "left");
  });
}

test("a model nobody serves is not found", async () => {
  const error = await raised(api.chat.completions.create({ model: "nobody", messages: HELLO }));
  assert.equal(error.constructor, OpenAI.NotFoundError);
  assert.equal(error.code, "model_not_found");
});

test("where nobody listens is a connection error", async () => {
  const server = net.createServer().listen(0, "127.0.0.1");
  await new Promise((resolve) => server.once("listening", resolve));
  const { port } = server.address();
  await new Promise((resolve) => server.close(resolve));
  const error = await raised(client({ baseURL: `http://127.0.0.1:${port}/v1` }).models.list());
  assert.equal(error.constructor, OpenAI.APIConnectionError);
});
