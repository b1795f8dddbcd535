// ask(question, request) asks callops: the WebAssembly build beside the page where there is one, or else
// the server that the page came from.
"use strict";

const ask = (() => {
  const inside = typeof callopsWasm === "string" ? start(callopsWasm) : null;

  // start runs the module, which is gzip in base64, so that a page opened from a file can have it too.
  async function start(packed) {
    const bytes = Uint8Array.from(atob(packed), (c) => c.charCodeAt(0));
    const module = new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip")),
      { headers: { "Content-Type": "application/wasm" } });
    const go = new Go();
    const { instance } = await WebAssembly.instantiateStreaming(module, go.importObject);
    go.run(instance);
  }

  return async (question, request = null) => {
    const body = JSON.stringify(request);
    if (inside) {
      await inside;
      return JSON.parse(await callopsAsk(question, body));
    }
    const answer = await fetch("ask/" + question, { method: "POST", body });
    const text = await answer.text();
    if (!answer.ok) throw new Error(text.trim());
    return JSON.parse(text);
  };
})();

const $ = (id) => document.getElementById(id);

// el makes an element of class names, with children: elements or text.
function el(tag, names, ...children) {
  const e = document.createElement(tag);
  if (names) e.className = names;
  e.append(...children);
  return e;
}

// short leaves the number out where an instruction names its target.
const short = (text) => text.replace(/[0-9a-f]{16} <([^>]*)>/, "$1");

function fail(error) {
  $("error").textContent = error.message;
  $("error").hidden = false;
}

function clearError() { $("error").hidden = true; }
