// SPDX-License-Identifier: Apache-2.0
// STOP: the button, and the space bar wherever the focus is.

import { stopOverHttp } from "./link.js";

const PATIENCE_MS = 250;

export function wireStop(button, link, say) {
  let asked = 0;

  async function stop(how) {
    asked += 1;
    button.classList.add("asked");
    const began = performance.now();
    const ways = [];
    if (link.open) ways.push(link.ask("stop"));
    let told = false;
    // A socket may be open and stuck: after a moment it is tried the other way too.
    ways.push(
      new Promise((tell) => setTimeout(tell, link.open ? PATIENCE_MS : 0)).then(() =>
        told ? new Promise(() => {}) : stopOverHttp()),
    );
    const answers = ways.map((way) => way.then((answer) => {
      told = told || answer.ok;
      if (!answer.ok) throw new Error(answer.text);
      return answer;
    }));
    let answer;
    try {
      answer = await Promise.any(answers);
    } catch (error) {
      answer = { ok: false, text: error.errors[error.errors.length - 1].message };
    }
    asked -= 1;
    if (asked === 0) button.classList.remove("asked");
    say(`STOP (${how})`, answer, performance.now() - began);
  }

  // At once when it is pressed; a click comes only when it is let go.
  let pressed = false;
  button.addEventListener("pointerdown", (event) => {
    if (event.button !== 0) return;
    pressed = true;
    stop("button");
  });
  // Enter, and whatever helps people who use no pointer.
  button.addEventListener("click", () => {
    if (!pressed) stop("button");
    pressed = false;
  });

  const isSpace = (event) => event.code === "Space" || event.key === " ";
  const writes = (target) => target instanceof HTMLInputElement
    && ["text", "search", "password"].includes(target.type);
  // Before anybody else, whatever has the focus. In a field, Shift and the space bar write a space.
  const onSpace = (event) => {
    if (!isSpace(event)) return;
    if (event.shiftKey && writes(event.target)) return;
    event.preventDefault();
    event.stopImmediatePropagation();
    if (event.type === "keydown" && !event.repeat) stop("space bar");
  };
  window.addEventListener("keydown", onSpace, { capture: true });
  window.addEventListener("keyup", onSpace, { capture: true });
  return stop;
}
