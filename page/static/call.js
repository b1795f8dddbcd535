// A traced call: a recording, and the view of one of its frames.
"use strict";

const Call = (() => {
  const opsNames = ["A", "B", "C"];
  const parts = { function: "traced code", caller: "ftrace_caller", list: "list function or set", tracer: "tracers" };
  const schemes = { callops: "with CALL_OPS", sets: "with site sets", global: "before CALL_OPS" };
  let about, rec, actions = [];
  const player = new Player($("steps"), $("slider"), $("play"), show, 6);

  // The last view, which the next one goes on from.
  let view;

  // fresh is the view before the first frame.
  function fresh() {
    return {
      at: -1, n: 0, call: 0, regs: new Map(rec.start.map((r) => [r.name, r.value])), changed: new Set(),
      stack: new Map(), stored: new Set(), text: new Map(), literal: rec.site.literal, patched: "",
      counts: { function: 0, caller: 0, list: 0, tracer: 0 }, tracers: new Set(), list: false,
    };
  }

  // advance goes on to the next frame.
  function advance(v) {
    const frame = rec.frames[++v.at];
    v.n = frame.n;
    v.changed = new Set();
    v.stored = new Set();
    v.patched = "";
    if (v.call + 1 < rec.calls.length && v.at >= rec.calls[v.call + 1].first) {
      v.call++;
      v.counts = { function: 0, caller: 0, list: 0, tracer: 0 };
    }
    if (frame.kind === "store") {
      v.patched = frame.addr;
      v.text.set(frame.addr, (frame.literal ? ".quad " : "") + frame.new);
      if (frame.literal && frame.where === "literal of " + rec.site.where) v.literal = frame.new;
    }
    if (frame.kind !== "insn") return;
    v.counts[frame.part]++;
    for (const r of frame.regs || []) {
      v.regs.set(r.name, r.value);
      v.changed.add(r.name);
    }
    for (const w of frame.stack || []) {
      v.stack.set(w.addr, w);
      v.stored.add(w.addr);
    }
  }

  function viewAt(at) {
    if (!view || view.at > at) view = fresh();
    while (view.at < at) advance(view);
    return view;
  }

  // now is what is registered once n instructions have been executed: from an ops to its function.
  function now(n) {
    const on = new Map();
    for (const a of actions) {
      if (a.at > n) break;
      if (a.do === "register") on.set(a.ops, a.filter);
      else on.delete(a.ops);
    }
    return on;
  }

  function script() {
    const args = $("args").value.split(/[\s,]+/).filter(Boolean).map((word) => {
      const n = Number(word);
      if (!Number.isSafeInteger(n) || n < 0) throw new Error(`${word} is no number from 0 to 2^53`);
      return n;
    });
    return {
      scheme: document.querySelector("input[name=mode]:checked").value, func: $("func").value.trim(), args, calls: Number($("calls").value), actions,
    };
  }

  // replay plays the script again, and shows the frame that find chooses.
  let asked = 0;
  async function replay(find) {
    const number = ++asked;
    try {
      player.stop();
      const got = await ask("play", script());
      if (number !== asked) return;
      rec = got;
      view = null;
      clearError();
      if (rec.error) fail(new Error(rec.error));
      player.load(rec.frames.length, find ? find(rec.frames) : 0);
      drawTicks();
      drawHistory();
      price();
    } catch (e) {
      if (number === asked) fail(e);
    }
  }

  // act has an operation done at the instruction that is shown.
  function act(verb, ops, filter) {
    const n = view.n, from = view.at;
    const action = { at: n, do: verb, ops, filter };
    const i = actions.findIndex((a) => a.at > n);
    actions.splice(i < 0 ? actions.length : i, 0, action);
    const name = `${verb} ${ops}`;
    replay((frames) => {
      const at = frames.findLastIndex((f) => f.n === n && (f.kind === "begin" || f.kind === "notice") && f.text.startsWith(name));
      return at < 0 ? from : at;
    });
  }

  function set(ops, where) {
    const was = now(view.n).get(ops);
    const filter = where === "here" ? rec.script.func : about.other;
    if (where === "off") act("unregister", ops);
    else if (was === undefined) act("register", ops, filter);
  }

  function show(at) {
    const v = viewAt(at), frame = rec.frames[at];
    drawPicture(v, frame);
    drawCode(v, frame);
    drawRegs(v);
    drawStack(v);
    drawOps(v);
    $("caption").replaceChildren(el("p", "", ...say(frame)), el("p", "why", why(frame)));
    $("count").textContent = `${v.n} instructions, call ${v.call + 1} of ${rec.calls.length}`;
  }

  // meaning is what instructions are there for, in callops' own code.
  const meaning = [
    ["function", /^mov x9, x30$/, "keeps the caller's return address: the next instruction may overwrite x30"],
    ["function", /^bl .*ftrace_caller/, "the site is enabled: on to ftrace_caller, with this site's address in x30"],
    ["caller", /^and x11, x30, /, "x30 points into the traced function; aligned to 8 it is 16 bytes after the literal"],
    ["caller", /^ldur x11, \[x11, #-16\]/, "one load finds the ops of this site: no list, no filter"],
    ["caller", /^ldr x17, \[x11/, "is it a direct call? then the trampoline would be in the ops"],
    ["caller", /^stp /, "saves what the function was called with: a tracer may change it all"],
    ["caller", /^sub x0, x30, #0x4$/, "first argument: ip, the address of the call site"],
    ["caller", /^mov x1, x9$/, "second argument: parent_ip, where the traced function was called from"],
    ["caller", /^mov x2, x11$/, "third argument: the ops"],
    ["caller", /^mov x3, sp$/, "fourth argument: the registers that were saved"],
    ["caller", /^ldr x4, \[x2\]$/, "the function of the ops"],
    ["caller", /^blr? /, "and calls it"],
    ["caller", /^ldp /, "restores what was saved"],
    ["caller", /^ret x9$/, "back to the traced function, after its site"],
    ["tracer", /^str w9, /, "the tracer has counted the call in memory"],
  ];

  function why(f) {
    if (f.kind === "insn") {
      if (f.part === "function" && f.addr === (rec.site.words || [])[1]?.addr && f.text === "nop") return "the site is disabled: the function goes on untraced";
      return (meaning.find(([part, text]) => part === f.part && text.test(f.text)) || ["", "", ""])[2];
    }
    if (f.kind === "store" && f.literal) return "one 64-bit store: a call that loads the literal finds the old ops or the new one, and both are whole";
    if (f.kind === "store") return "one 32-bit store: a CPU executes the old instruction or the new one";
    if (/ waits: /.test(f.text)) return "the ops may not be freed while a task can still use it";
    return "";
  }

  // say is a frame in words.
  function say(f) {
    const strong = (text) => el("b", "", text);
    if (f.kind === "store") {
      return [el("span", "who", "patcher"), ` stores to `, strong(f.where), `: ${short(f.old)} → `, strong(short(f.new))];
    }
    if (f.kind !== "insn") return [el("span", "who", f.kind === "return" ? "cpu" : "patcher"), " " + f.text];
    const out = [el("span", "who", "cpu"), " ", strong(f.where), ": ", el("code", "", short(f.text))];
    for (const read of f.reads || []) out.push(" reads ", strong(read.what), ": ", strong(read.value));
    return out;
  }

  const block = (name, frame) => rec.code.find((b) => b.name === name) && frame.kind === "insn" && frame.where.split("+")[0] === name;

  function drawPicture(v, frame) {
    const opsAt = now(v.n), active = frame.kind === "insn" ? frame.part : "";
    const siteActive = block(rec.site.where, frame);
    const row = (addr, ...cells) => el("div", "row" + (v.patched === addr ? " patched" : ""), ...cells);
    const site = el("div", "box" + (siteActive ? " active" : ""), el("h3", "", rec.site.where || rec.script.func));
    if (rec.site.literal) {
      const changed = frame.kind === "store" && frame.literal;
      site.append(el("div", "row literal" + (changed ? " patched" : ""), el("span", "key", "literal"), opsName(v.literal)));
    }
    for (const word of rec.site.words || []) {
      site.append(row(word.addr, el("span", "key", word.addr.slice(-3)), el("code", "", short(v.text.get(word.addr) ?? word.text))));
    }
    site.append(el("div", "row", el("span", "key", ""), "its own code"));
    const caller = el("div", "box" + (active === "caller" ? " active" : ""), el("h3", "", "ftrace_caller"),
      el("p", "", rec.script.scheme !== "global" ? "loads the ops from the site's literal, saves the arguments, calls its func" :
        "loads one ops from function_trace_op, saves the arguments, calls one patched function"), tally(v, "caller"));
    const list = el("div", "box" + (active === "list" ? " active" : "") + (rec.code.some((b) => b.part === "list") ? "" : " idle"),
      ...(rec.script.scheme === "sets" ? [el("h3", "", "the site's set"), el("p", "", "calls the ops that several tracers of one site share, and no other")] :
        [el("h3", "", "the list function"), el("p", "", "walks all registered ops, and looks into the filter of each")]), tally(v, "list"));
    const tracers = el("div", "box" + (active === "tracer" ? " active" : ""), el("h3", "", "ops->func"));
    for (const name of opsNames) {
      const where = opsAt.get(name);
      if (where) tracers.append(el("div", "row", opsName("ops " + name), where === rec.script.func ? "counts this call" : "is on " + where));
    }
    tracers.append(tally(v, "tracer"));
    $("picture").replaceChildren(site, arrow(), caller, arrow(), list, arrow(), tracers);
  }

  const arrow = () => el("div", "arrow", "→");
  const tally = (v, part) => el("div", "tally", `${v.counts[part]} instructions`);
  const opsName = (name) => el("span", "ops ops-" + name.replace("ops ", ""), name);

  function drawCode(v, frame) {
    const name = frame.where ? frame.where.replace("literal of ", "").split("+")[0] : rec.site.where;
    const b = rec.code.find((c) => c.name === name) || rec.code[0];
    $("code-name").textContent = b.name;
    const next = frame.next;
    $("code").replaceChildren(...b.lines.map((line) => {
      const here = frame.kind === "insn" && line.addr === frame.addr;
      const e = el("div", "insn" + (here ? " here" : "") + (v.patched === line.addr ? " patched" : "") + (line.addr === next ? " next" : ""),
        el("span", "addr", line.addr.slice(-4)), short(v.text.get(line.addr) ?? line.text));
      if (here || v.patched === line.addr) queueMicrotask(() => reveal($("code"), e));
      return e;
    }));
  }

  // reveal scrolls a box, and not the page.
  function reveal(box, e) {
    const top = e.offsetTop - box.offsetTop;
    if (top < box.scrollTop || top + e.offsetHeight > box.scrollTop + box.clientHeight) box.scrollTop = top - box.clientHeight / 2;
  }

  function drawRegs(v) {
    $("regs").replaceChildren(...[...v.regs].map(([name, value]) =>
      el("div", "reg" + (v.changed.has(name) ? " changed" : ""), el("span", "key", name), el("code", "", value))));
  }

  function drawStack(v) {
    const words = [...v.stack.values()].sort((a, b) => (BigInt(a.addr) < BigInt(b.addr) ? 1 : -1)).slice(0, 24);
    const sp = v.regs.get("sp");
    $("stack").replaceChildren(...words.map((w) => el("div", "word" + (v.stored.has(w.addr) ? " changed" : "") + (BigInt(w.addr) < BigInt(sp) ? " below" : ""),
      el("span", "addr", w.addr.slice(-4)), w.value, el("span", "name", w.name ? " " + w.name : ""), w.addr === sp ? el("span", "sp", " ← sp") : "")));
  }

  function drawOps(v) {
    const on = now(v.n);
    $("ops-list").replaceChildren(...opsNames.map((name) => {
      const where = !on.has(name) ? "off" : on.get(name) === rec.script.func ? "here" : "other";
      const line = el("div", "ops-line", opsName("ops " + name));
      const choices = [["off", "not registered"], ["here", "on " + rec.script.func]];
      if (about.other) choices.push(["other", "on " + about.other]);
      for (const [value, text] of choices) {
        const button = el("button", value === where ? "chosen" : "", text);
        button.type = "button";
        button.setAttribute("aria-pressed", value === where);
        button.disabled = value !== where && value !== "off" && where !== "off";
        button.addEventListener("click", () => value !== where && set(name, value));
        line.append(button);
      }
      if (where === "here") {
        const free = opsNames.find((other) => !on.has(other));
        if (free) {
          const swap = el("button", "", `swap for ${free}`);
          swap.type = "button";
          swap.addEventListener("click", () => { swapOps(name, free); });
          line.append(swap);
        }
      }
      return line;
    }));
  }

  // swapOps registers one ops and unregisters another, at the same instruction.
  function swapOps(out, into) {
    const n = view.n;
    const i = actions.findIndex((a) => a.at > n);
    actions.splice(i < 0 ? actions.length : i, 0, { at: n, do: "register", ops: into, filter: rec.script.func });
    act("unregister", out);
  }

  function drawHistory() {
    $("history").replaceChildren(...actions.map((a, i) => {
      const undo = el("button", "", "undo");
      undo.type = "button";
      undo.setAttribute("aria-label", `undo ${a.do} ${a.ops}`);
      undo.addEventListener("click", () => {
        const at = player.at;
        actions.splice(i, 1);
        replay((frames) => Math.min(at, frames.length - 1));
      });
      return el("li", "", `after ${a.at} instructions: ${a.do} ops ${a.ops}${a.filter ? " on " + a.filter : ""} `, undo);
    }));
  }

  // drawTicks colours the line by what is executed.
  function drawTicks() {
    const canvas = $("ticks"), width = canvas.clientWidth || 600;
    canvas.width = width;
    const pen = canvas.getContext("2d"), style = getComputedStyle(document.documentElement);
    rec.frames.forEach((f, i) => {
      pen.fillStyle = style.getPropertyValue("--" + (f.kind === "insn" ? f.part : "patcher"));
      pen.fillRect(i * width / rec.frames.length, 0, Math.ceil(width / rec.frames.length), 12);
    });
  }

  // price counts a call with the ops that are registered now, on both kinds of kernel.
  let priced = 0;
  async function price() {
    const number = ++priced, on = now(Infinity);
    const first = [...on].map(([ops, filter]) => ({ at: 0, do: "register", ops, filter }));
    const rows = [];
    for (const scheme of about.schemes) {
      const got = await ask("play", { ...script(), scheme, calls: 1, actions: first });
      rows.push({ name: schemes[scheme], parts: got.calls[0].parts });
    }
    if (number === priced) drawPrice(rows, on.size);
  }

  function drawPrice(rows, size) {
    const sum = (row) => ["caller", "list", "tracer"].reduce((n, part) => n + (row.parts[part] || 0), 0);
    const most = Math.max(...rows.map(sum), 1);
    const traced = rows.map((row) => {
      const bar = el("div", "bar-line");
      for (const part of ["caller", "list", "tracer"]) {
        const n = row.parts[part] || 0;
        if (n === 0) continue;
        const piece = el("div", "piece " + part, String(n));
        piece.style.width = `${100 * n / most}%`;
        piece.title = `${parts[part]}: ${n} instructions`;
        bar.append(piece);
      }
      return el("div", "bar-row", el("span", "bar-name", row.name), bar, el("b", "", String(sum(row))));
    });
    const legend = el("p", "legend", ...["caller", "list", "tracer"].flatMap((part) => [el("span", "piece " + part, ""), ` ${parts[part]} `]));
    $("bars").replaceChildren(...(size === 0 ? [el("p", "", "Nothing: no ops is registered. Press a to register ops A.")] : [...traced, legend]));
  }

  // part is the nearest frame in another function, or of the patcher.
  player.part = (where) => {
    const step = where === "part-next" ? 1 : -1;
    const name = (f) => (f.kind === "insn" ? f.where.split("+")[0] : "patcher");
    let at = player.at;
    const from = name(rec.frames[at]);
    while (rec.frames[at + step] && name(rec.frames[at + step]) === from) at += step;
    at += step;
    if (step < 0 && rec.frames[at]) { // to where that function begins
      const to = name(rec.frames[at]);
      while (rec.frames[at - 1] && name(rec.frames[at - 1]) === to) at--;
    }
    return Math.min(Math.max(at, 0), rec.frames.length - 1);
  };

  async function suggest() {
    const names = await ask("functions", $("func").value.trim());
    $("functions").replaceChildren(...names.map((name) => { const o = el("option"); o.value = name; return o; }));
  }

  return {
    player,
    async begin(what) {
      about = what;
      $("func").value = about.func;
      $("args").value = about.args.join(" ");
      for (const scheme of about.schemes) {
        const radio = el("input", "");
        Object.assign(radio, { type: "radio", name: "mode", value: scheme, checked: scheme === "callops" || about.schemes.length === 1 });
        $("mode").append(el("label", "", radio, " " + schemes[scheme]));
      }
      actions = about.func ? [{ at: 0, do: "register", ops: "A", filter: about.func }] : [];
      $("what").addEventListener("submit", (e) => {
        e.preventDefault();
        actions = actions.map((a) => (a.filter && a.filter !== about.other ? { ...a, filter: $("func").value.trim() } : a));
        replay();
      });
      $("mode").addEventListener("change", () => replay());
      $("func").addEventListener("input", () => suggest().catch(fail));
      await Promise.all([suggest(), replay()]);
    },
    shown() { if (rec) { drawTicks(); show(player.at); } },
    // key registers or unregisters an ops.
    key(e) {
      const name = e.key.toUpperCase();
      if (!opsNames.includes(name)) return false;
      set(name, now(view.n).has(name) ? "off" : "here");
      return true;
    },
  };
})();
