// Player is a position among steps, with buttons, a slider and keys: what a call and a film share.
"use strict";

class Player {
  // bar holds the buttons; show is called with each new position.
  constructor(bar, slider, playButton, show, perSecond) {
    Object.assign(this, { slider, playButton, show, pause: 1000 / perSecond, length: 0, at: 0, timer: 0 });
    bar.addEventListener("click", (e) => {
      const button = e.target.closest("[data-go]");
      if (button) this.go(button.dataset.go);
    });
    slider.addEventListener("input", () => { this.stop(); this.to(Number(slider.value)); });
  }

  load(length, at) {
    this.length = length;
    this.slider.max = Math.max(length - 1, 0);
    this.to(at);
  }

  to(at) {
    this.at = Math.min(Math.max(at, 0), this.length - 1);
    this.slider.value = this.at;
    this.show(this.at);
  }

  go(where) {
    if (where === "play") return this.timer ? this.stop() : this.play();
    this.stop();
    const to = { first: 0, back: this.at - 1, next: this.at + 1, last: this.length - 1 }[where];
    this.to(to ?? this.part(where));
  }

  // part is where another function begins; a film has none.
  part() { return this.at; }

  play() {
    if (this.at >= this.length - 1) this.to(0);
    this.playButton.textContent = "stop";
    this.timer = setInterval(() => {
      if (this.at >= this.length - 1) return this.stop();
      this.to(this.at + 1);
    }, this.pause);
  }

  stop() {
    clearInterval(this.timer);
    this.timer = 0;
    this.playButton.textContent = "play";
  }

  // key takes a key of the page, and reports whether it was one of these.
  key(e) {
    const where = { ArrowLeft: e.shiftKey ? "part-back" : "back", ArrowRight: e.shiftKey ? "part-next" : "next",
      Home: "first", End: "last", " ": "play" }[e.key];
    if (where) this.go(where);
    return Boolean(where);
  }
}
