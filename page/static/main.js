// The tabs, the theme and the keys.
"use strict";

const tabs = { call: Call, film: FilmView };

function select(name) {
  for (const tab of Object.keys(tabs)) {
    $(tab).hidden = tab !== name;
    $("tab-" + tab).setAttribute("aria-selected", tab === name);
    $("tab-" + tab).tabIndex = tab === name ? 0 : -1;
    if (tab !== name) tabs[tab].player.stop();
  }
  clearError();
  tabs[name].shown();
}

function shown() { return Object.keys(tabs).find((tab) => !$(tab).hidden); }

for (const tab of Object.keys(tabs)) $("tab-" + tab).addEventListener("click", () => select(tab));

document.querySelector("nav").addEventListener("keydown", (e) => {
  if (e.key !== "ArrowLeft" && e.key !== "ArrowRight") return;
  const other = Object.keys(tabs).find((tab) => tab !== shown());
  select(other);
  $("tab-" + other).focus();
  e.stopPropagation();
});

document.addEventListener("keydown", (e) => {
  if (e.ctrlKey || e.altKey || e.metaKey) return;
  if (e.target.matches("input[type=text], input:not([type]), select, textarea, button") && (e.key === " " || e.target.matches(":not(button)"))) return;
  const tab = tabs[shown()];
  if (tab.player.key(e) || tab.key(e)) e.preventDefault();
});

$("theme").addEventListener("click", () => {
  const dark = matchMedia("(prefers-color-scheme: dark)").matches;
  const now = document.documentElement.dataset.theme || (dark ? "dark" : "light");
  document.documentElement.dataset.theme = now === "dark" ? "light" : "dark";
  tabs[shown()].shown();
});

ask("about").then(async (about) => {
  $("image").textContent = about.image === "builtin" ? "the built-in kernel" : about.image;
  FilmView.begin(about);
  await Call.begin(about);
  document.documentElement.dataset.ready = "true";
}).catch(fail);
