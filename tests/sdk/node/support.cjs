// What every test of the SDK needs: a client, and the engines' side of the story.

const OpenAI = require("openai");

const { JAIROUTER_URL, NORMAL_URL, OLLAMA_URL } = process.env;
const engines = { normal: NORMAL_URL, ollama: OLLAMA_URL };

// What the scripted engines say: upstreams/scripts.py.
const WORDS = ["Grüße", " aus", " der", " 🦀", "-Küche", "."];
const CALLS = [
  ["get_weather", { city: "Zürich" }],
  ["get_time", { zone: "Europe/Zurich" }],
];

const HELLO = [{ role: "user", content: "Hello! 🦀" }];
const TOOLS = [
  ["get_weather", "city"],
  ["get_time", "zone"],
].map(([name, field]) => ({
  type: "function",
  function: {
    name,
    parameters: { type: "object", properties: { [field]: { type: "string" } }, required: [field] },
  },
}));

// A retry would hide what the gateway answered.
function client(settings) {
  const baseURL = `${JAIROUTER_URL}/v1`;
  return new OpenAI({ baseURL, apiKey: "none", maxRetries: 0, timeout: 30_000, ...settings });
}

// Asks an engine beside the wire: see upstreams/wire.py.
async function control(adapter, path, method = "GET") {
  const answer = await fetch(`${engines[adapter]}/control/${path}`, { method });
  if (!answer.ok) throw new Error(`${method} ${path}: ${answer.status}`);
  return answer.json();
}

module.exports = {
  OpenAI,
  ADAPTERS: Object.keys(engines),
  WORDS,
  TEXT: WORDS.join(""),
  PROMPT_TOKENS: 11,
  CALLS,
  HELLO,
  TOOLS,
  client,
  control,
};
