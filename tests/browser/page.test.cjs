// The status page, as somebody sees it who was woken for it.

"use strict";
const assert = require("node:assert");
const { spawn } = require("node:child_process");
const { mkdtempSync, rmSync, writeFileSync } = require("node:fs");
const http = require("node:http");
const { tmpdir } = require("node:os");
const { join } = require("node:path");
const { createInterface } = require("node:readline");
const { after, before, test } = require("node:test");
const { chromium } = require("playwright-core");

const TOKEN = "the-operators-token";
const HOSTILE = "<img src=x onerror=document.title='hacked'>";
const folder = mkdtempSync(join(tmpdir(), "jairouter-page-"));
let engine, gateway, callers, operators, browser, page;
const complaints = [], foreign = [];

/** An engine that cannot do anything. */
function failing() {
  const server = http.createServer((request, response) => {
    request.resume();
    const isProbe = request.url === "/health";
    response.writeHead(isProbe ? 200 : 500, { "content-type": "application/json" });
    response.end(isProbe ? "{}" : '{"error":{"message":"CUDA out of memory"}}');
  });
  return new Promise((listening) => server.listen(0, "127.0.0.1", () => listening(server)));
}

function ask(model, stream = true) {
  return fetch(`${callers}/v1/chat/completions`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ model, stream, messages: [{ role: "user", content: "a canary prompt" }] }),
  }).then((answer) => answer.text());
}

before(async () => {
  engine = await failing();
  const bad = `http://127.0.0.1:${engine.address().port}`;
  const file = join(folder, "jairouter.yaml");
  writeFileSync(file, JSON.stringify({
    server: { port: 0 },
    management: { server: { port: 0, token: TOKEN } },
    model: {
      "circuit-breaker": { enabled: true, "failure-threshold": 1 },
      "load-balance": { type: "round-robin" },
      "rate-limit": { enabled: true, capacity: 500, rate: 100, scope: "service", "tokens-per-minute": 1e6 },
      services: {
        chat: {
          instances: [
            { name: "qwen3:30b", adapter: "simulated", "instance-id": "gpu-1", "concurrency": { limit: 8 },
              "base-url": "simulated://gpu-1?first-token=40ms&rate=400&length=30" },
            { name: "qwen3:30b", adapter: "simulated", "instance-id": "gpu-2", weight: 2,
              "base-url": "simulated://gpu-2?first-token=90ms&rate=200&length=30" },
            { name: "qwen3:30b", adapter: "vllm", "instance-id": "gpu-3", "base-url": bad },
            { name: HOSTILE, adapter: "simulated", "instance-id": "spare", "base-url": "simulated://spare" },
          ],
        },
        embedding: {
          instances: [{ name: "bge-m3", adapter: "simulated", "instance-id": "embedder", "base-url": "simulated://e" }],
        },
      },
    },
  }));
  gateway = spawn(process.env.JAIROUTER, [file], { stdio: ["ignore", "pipe", "ignore"] });
  for await (const line of createInterface({ input: gateway.stdout })) {
    callers ??= line.match(/listening on (http:\S+)/)?.[1];
    operators ??= line.match(/status page: (http:\S+)\/$/)?.[1];
    if (operators) break;
  }
  assert.ok(operators, "it says where its page is");
  browser = await chromium.launch({
    executablePath: process.env.CHROMIUM,
    args: ["--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-background-networking",
      "--disable-component-update", "--disable-sync", "--no-first-run"],
  });
  page = await browser.newPage({ viewport: { width: 1280, height: 960 } });
  page.on("pageerror", (error) => complaints.push(error.message));
  page.on("console", (message) => message.type() === "error" && complaints.push(message.text()));
  page.on("request", (request) => request.url().startsWith(`${operators}/`) || foreign.push(request.url()));
});

after(async () => {
  await browser?.close();
  gateway?.kill();
  engine?.close();
  rmSync(folder, { recursive: true });
});

const row = (instance) => page.locator(`tr[data-instance="${instance}"]`);
const state = (instance, word) => row(instance).locator(".state", { hasText: word }).waitFor();

test("nothing is shown without the token", async () => {
  await page.goto(`${operators}/`);
  await page.getByRole("alert").filter({ hasText: "management.server.token" }).waitFor();
  assert.strictEqual(await page.locator("tr[data-instance]").count(), 0);
  await page.getByLabel("Token").fill("not-the-operators-token");
  await page.getByRole("button", { name: "Show" }).click();
  await page.waitForTimeout(300);
  assert.strictEqual(await page.locator("tr[data-instance]").count(), 0);
  await page.getByLabel("Token").fill(TOKEN);
  await page.getByRole("button", { name: "Show" }).click();
  await page.getByRole("status").filter({ hasText: /^live$/ }).waitFor();
  assert.strictEqual(await page.locator("#notice").textContent(), "");
  // A browser says of each refusal that it was one.
  assert.ok(complaints.splice(0).every((complaint) => complaint.includes("401")));
});

test("what is served is there, and what others wrote is text", async () => {
  for (const service of ["chat", "embedding"]) {
    await page.locator(`section[data-service="${service}"]`).getByRole("heading").waitFor();
  }
  for (const instance of ["gpu-1", "gpu-2", "gpu-3", "spare", "embedder"]) await state(instance, "up");
  assert.ok((await row("spare").textContent()).includes(HOSTILE));
  assert.strictEqual(await page.title(), "JAiRouter");
  await page.locator("#limits").getByText("the rate limit of the service 'chat'").waitFor();
});

test("what happens is seen as it happens", async () => {
  for (let round = 0; round < 8; round += 1) {
    await Promise.all(Array.from({ length: 6 }, () => ask("qwen3:30b")));
    await page.waitForTimeout(500);
  }
  await Promise.all([ask("qwen4:999b"), ask("nobody-has-this", false)]);
  await page.locator("#failures").getByText("qwen4:999b").waitFor();
  await page.locator("#failures").getByText("model_not_found").first().waitFor();
  await row("gpu-1").getByText(/\d ms/).waitFor();
  for (const label of ["time to first token", "output tokens a second", "requests a second"]) {
    const line = row("gpu-1").getByRole("img", { name: label }).locator("path");
    assert.match(await line.getAttribute("d"), /L/, label);
  }
  await row("gpu-3").getByText("open", { exact: false }).first().waitFor();
  assert.ok(!(await page.content()).includes("canary"));
  if (process.env.JAIROUTER_SCREENSHOT) {
    const end = Date.now() + 100000;
    const caller = async () => {
      while (Date.now() < end) {
        await ask("qwen3:30b");
        await page.waitForTimeout(Math.random() * 600 * (1.2 + Math.sin(Date.now() / 8000)));
      }
    };
    const callers = Array.from({ length: 8 }, caller);
    await page.waitForTimeout(98000);
    await page.screenshot({ path: process.env.JAIROUTER_SCREENSHOT });
    await Promise.all(callers);
  }
});

test("a breaker is closed by its button", async () => {
  await row("gpu-3").getByRole("button", { name: "Reset" }).click();
  await row("gpu-3").getByText("closed").waitFor();
});

test("an instance is taken out by its button, and brought back", async () => {
  await row("gpu-1").getByRole("button", { name: "Drain" }).click();
  await state("gpu-1", "draining");
  await row("gpu-1").getByRole("button", { name: "Resume" }).press("Enter");
  await state("gpu-1", "up");
  // By keyboard, too: it is the same button while the page is drawn anew.
  await page.waitForTimeout(2500);
  const focus = await page.evaluate(() => document.activeElement.dataset.key);
  assert.strictEqual(focus, "drain gpu-1");
});

test("it fits a telephone, and says when the gateway is gone", async () => {
  await page.setViewportSize({ width: 390, height: 800 });
  const width = await page.evaluate(() => document.documentElement.scrollWidth);
  assert.ok(width <= 390, `it is ${width} wide`);
  assert.deepStrictEqual([complaints, foreign], [[], []]);
  gateway.kill();
  await page.getByText("not live").waitFor({ timeout: 40000 });
});
