// A race: a counterexample of the checker, step by step.
"use strict";

const FilmView = (() => {
  let films = [], film;
  const player = new Player($("film-steps"), $("film-slider"), $("film-play"), show, 1.5);

  function title(f) { return f.about + (f.mutation ? ` (${f.mutation})` : ` (${f.scenario})`); }

  async function search() {
    player.stop();
    $("searching").textContent = "searching…";
    $("choose").querySelector("button").disabled = true;
    await new Promise((done) => setTimeout(done, 30)); // for the browser to show it
    try {
      film = await ask("film", films[$("films").selectedIndex]);
      clearError();
      for (const id of ["claim", "film-steps"]) $(id).hidden = false;
      $("claim").replaceChildren(el("span", "bad", "broken"), ` ${film.claim}: `, el("b", "", film.detail));
      drawLanes();
      player.load(film.steps.length, 0);
      $("searching").textContent = "";
    } catch (e) {
      $("searching").textContent = "";
      fail(e);
    }
    $("choose").querySelector("button").disabled = false;
  }

  // agents are the columns.
  function agents() {
    const all = new Set(film.steps.map((s) => s.agent));
    return ["patcher", "callback", ...[...all].filter((a) => a.startsWith("cpu")).sort()].filter((a) => all.has(a));
  }

  function drawLanes() {
    const columns = agents(), lanes = el("table", ""), head = el("tr", "");
    head.append(el("th", "", ""), ...columns.map((name) => el("th", "", name)));
    lanes.append(el("thead", "", head));
    const body = el("tbody", "");
    film.steps.forEach((step, i) => {
      const row = el("tr", "", el("td", "number", String(i + 1)));
      for (const name of columns) row.append(el("td", "", ...(name === step.agent ? [tell(step)] : [])));
      row.addEventListener("click", () => { player.stop(); player.to(i); });
      body.append(row);
    });
    lanes.append(body);
    $("lanes").replaceChildren(lanes);
  }

  function tell(step) {
    const e = el("div", "step");
    if (step.where) e.append(el("b", "", step.where), " ");
    e.append(step.where ? el("code", "", short(step.does)) : step.does);
    for (const w of step.writes || []) e.append(el("div", "write", `${w.what} := `, el("b", "", short(w.value)), ` (was ${short(w.old)})`));
    for (const r of step.reads || []) {
      const read = el("div", "read" + (r.stale ? " stale" : ""), `${r.what} = `, el("b", "", short(r.value)));
      if (r.stale) read.append(el("span", "bad", "stale"), ` now ${short(r.newest)}`);
      e.append(read);
    }
    if (step.newest) e.append(el("div", "read stale", el("span", "bad", "stale"), ` now ${short(step.newest)}`));
    if (step.more) e.append(el("div", "more", `and ${step.more} more`));
    return e;
  }

  function show(at) {
    const rows = $("lanes").querySelectorAll("tbody tr");
    rows.forEach((row, i) => {
      row.classList.toggle("here", i === at);
      row.classList.toggle("later", i > at);
    });
    rows[at].scrollIntoView({ block: "nearest" });
    $("film-count").textContent = `step ${at + 1} of ${film.steps.length}`;
    $("claim").classList.toggle("reached", at === film.steps.length - 1);
    const memory = new Map();
    for (const step of film.steps) for (const w of step.writes || []) if (!memory.has(w.what)) memory.set(w.what, w.old);
    let last = "";
    film.steps.slice(0, at + 1).forEach((step, i) => {
      for (const w of step.writes || []) {
        memory.set(w.what, w.value);
        if (i === at) last = w.what;
      }
    });
    $("memory").replaceChildren(...[...memory].map(([what, value]) =>
      el("div", "cell" + (what === last ? " changed" : ""), el("span", "key", what), el("code", "", short(value)))));
  }

  return {
    player,
    begin(about) {
      films = about.films;
      $("films").replaceChildren(...films.map((f) => el("option", "", title(f))));
      $("choose").addEventListener("submit", (e) => { e.preventDefault(); search(); });
    },
    shown() { if (!film) search(); },
    key() { return false; },
  };
})();
