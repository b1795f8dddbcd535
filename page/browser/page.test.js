// The page in a real browser: as `callops serve` serves it, and as a folder opened from a file.
// .ci/browser runs it; CALLOPS is the command and PAGE the folder.
"use strict";

const { spawn } = require("node:child_process");
const { once } = require("node:events");
const { pathToFileURL } = require("node:url");
const assert = require("node:assert/strict");
const { after, before, describe, it } = require("node:test");
const { chromium } = require("playwright-core");

let browser, server, served;

before(async () => {
  server = spawn(process.env.CALLOPS, ["serve", "--listen", "127.0.0.1:0"], { stdio: ["ignore", "pipe", "inherit"] });
  const [line] = await once(server.stdout, "data");
  served = String(line).trim();
  browser = await chromium.launch({
    executablePath: process.env.CHROMIUM || "/usr/bin/chromium",
    args: ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update", "--disable-sync", "--no-first-run"],
  });
});

after(async () => {
  await browser?.close();
  server?.kill("SIGINT");
});

// open loads the page, and has a test fail at the end on errors and on requests to elsewhere.
async function open(t, url, options = {}) {
  const context = await browser.newContext({ viewport: { width: 1360, height: 1000 }, ...options });
  const page = await context.newPage();
  const wrong = [];
  page.on("pageerror", (e) => wrong.push(e.message));
  page.on("console", (m) => m.type() === "error" && wrong.push(m.text()));
  page.on("request", (r) => { if (!r.url().startsWith(served) && !/^(file|blob|data):/.test(r.url())) wrong.push("asks " + r.url()); });
  t.after(async () => {
    await context.close();
    assert.deepEqual(wrong, []);
  });
  const began = Date.now();
  await page.goto(url);
  await page.waitForSelector("html[data-ready]", { timeout: 120000 });
  t.diagnostic(`first call after ${Date.now() - began} ms`);
  return page;
}

// replayed waits until the page shows another recording.
async function replayed(page, act) {
  const before = await page.locator("#slider").getAttribute("max");
  await act();
  await page.waitForFunction((was) => document.getElementById("slider").max !== was, before);
}

const press = async (page, key, times = 1) => { for (let i = 0; i < times; i++) await page.keyboard.press(key); };
const text = (page, selector) => page.locator(selector).innerText();

for (const [name, url] of [["served", () => served], ["a folder", () => pathToFileURL(process.env.PAGE + "/index.html").href]]) {
  describe(name, () => {
    it("steps through a traced call, forward and back", async (t) => {
      const page = await open(t, url());
      await press(page, "ArrowRight", 5); // the patcher's frames, then mov x9, x30 and bl
      assert.match(await text(page, "#caption"), /gcd\+0x4: bl ftrace_caller/);
      await press(page, "ArrowRight", 3);
      assert.match(await text(page, "#caption"), /reads literal of gcd: ops A/);
      assert.match(await text(page, ".box.active"), /ftrace_caller/);
      assert.match(await text(page, ".reg.changed"), /x11/);
      await press(page, "Shift+ArrowRight");
      assert.match(await text(page, ".box.active"), /ops->func/);
      await press(page, "ArrowLeft");
      assert.match(await text(page, "#caption"), /blr x4/);
      await press(page, "Home");
      assert.match(await text(page, "#caption"), /register A on gcd/);
      await press(page, "End");
      assert.match(await text(page, "#count"), /call 2 of 2/);
    });

    it("registers, swaps and frees ops while the call stands between two instructions", async (t) => {
      const page = await open(t, url());
      await press(page, "ArrowRight", 10);
      await replayed(page, () => press(page, "b"));
      assert.match(await text(page, "#caption"), /register B on gcd/);
      await press(page, "ArrowRight");
      assert.match(await text(page, ".row.literal"), /ftrace_list_ops/);
      assert.match(await text(page, "#history"), /register ops B on gcd/);
      await press(page, "ArrowRight", 2);
      await replayed(page, () => press(page, "a"));
      await press(page, "ArrowRight", 3);
      assert.match(await text(page, "#caption"), /synchronize_rcu_tasks_rude waits/);
      await replayed(page, () => page.getByRole("button", { name: "undo unregister A" }).click());
      assert.doesNotMatch(await text(page, "#history"), /unregister/);
      await replayed(page, () => page.getByRole("button", { name: "swap for C" }).first().click());
      assert.match(await text(page, "#history"), /register ops C[^]*unregister ops A/);
    });

    it("shows what the ops cost, before CALL_OPS and with it", async (t) => {
      const page = await open(t, url());
      const rows = page.locator(".bar-row");
      await rows.nth(1).waitFor();
      assert.match(await rows.nth(0).innerText(), /before CALL_OPS[^]*105/);
      assert.match(await rows.nth(1).innerText(), /with CALL_OPS[^]*37/);
      await page.getByLabel("before CALL_OPS").check();
      await page.waitForFunction(() => !document.querySelector(".row.literal"));
      await press(page, "ArrowRight", 12);
    });

    it("shows a race step by step", async (t) => {
      const page = await open(t, url());
      await page.getByRole("tab", { name: "A race" }).click();
      await page.waitForSelector("#lanes tbody tr", { timeout: 120000 });
      assert.match(await text(page, "#claim"), /freed memory is not used/);
      await press(page, "End");
      assert.match(await text(page, "tr.here"), /ftrace_caller/);
      assert.ok(await page.locator("#lanes .stale").count() > 0);
      assert.ok(await page.locator("#claim.reached").isVisible());
    });
  });
}

it("says what is wrong with a call, and goes on", async (t) => {
  const page = await open(t, pathToFileURL(process.env.PAGE + "/index.html").href);
  await page.fill("#func", "gcdd");
  await page.getByRole("button", { name: "Run" }).click();
  await page.waitForFunction(() => !document.getElementById("error").hidden);
  assert.match(await text(page, "#error"), /gcdd/);
  await page.fill("#func", "fib");
  await page.fill("#args", "3");
  await replayed(page, () => page.getByRole("button", { name: "Run" }).click());
  assert.ok(await page.locator("#error").isHidden());
});

it("fits a phone, dark and light", async (t) => {
  for (const colorScheme of ["dark", "light"]) {
    const page = await open(t, served, { viewport: { width: 390, height: 800 }, colorScheme });
    assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth));
    await page.getByRole("button", { name: "Change between dark and light" }).click();
    assert.equal(await page.evaluate(() => document.documentElement.dataset.theme), colorScheme === "dark" ? "light" : "dark");
  }
});
