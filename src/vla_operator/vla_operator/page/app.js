// SPDX-License-Identifier: Apache-2.0
// The operator's page: connects its parts.

import { Cameras } from "./cameras.js";
import { Plans, drawJerk } from "./charts.js";
import { Episodes } from "./episodes.js";
import { Jog } from "./jog.js";
import { Link } from "./link.js";
import { Record } from "./record.js";
import { showState, summary } from "./state.js";
import { wireStop } from "./stop.js";

const byId = (id) => document.getElementById(id);
const MOST_LINES = 50, REMEMBERED = 12, SAID_MS = 5000;
// A browser may keep nothing, and say so by an exception.
const kept = {
  get(name, other) { try { return JSON.parse(localStorage.getItem(name)) ?? other; } catch { return other; } },
  set(name, value) { try { localStorage.setItem(name, JSON.stringify(value)); } catch { /* not kept */ } },
};
const cameras = new Cameras(byId("cameras"));
const plans = new Plans(byId("plans"));
let control = { you: false, operator: "", viewers: 0 };
let monitor = "", newest = null;

const link = new Link({
  onMessage(message) {
    ({ hello: onHello, state: onState, control: onControl, gauge: onGauge, curves: onCurves, episodes: (told) => episodes.tell(told) }[message.type] ?? (() => {}))(message);
  },
  onPicture: (head, blob, seen) => cameras.show(head, blob, seen),
  onChange: onLink,
});

// -- what is told ------------------------------------------------------------------------------

function onHello(hello) {
  byId("robot").textContent = hello.robot;
  byId("namespace").textContent = hello.namespace;
  document.title = `${hello.namespace || hello.robot} · operator`;
  offer(hello.instructions);
  jog.build([...hello.joints, hello.gripper]);
}

function onState(state) {
  monitor = state.monitor.name;
  showState(state);
  cameras.tell(state.cameras);
  notice(state.clock);
  newest = state;
  allow();
}

function onControl(told) {
  control = told;
  const others = `${told.viewers} page${told.viewers === 1 ? "" : "s"} open`;
  byId("who").textContent = told.you ? "You are in control" : told.operator ? `${told.operator} is in control` : "Nobody is in control";
  byId("take").textContent = told.you ? "Give control back" : told.operator ? `Take over from ${told.operator}` : "Take control";
  byId("name").hidden = told.you;
  byId("link").title = others;
  allow();
}

// What is new is drawn with the next frame, and what came before it is not.
const due = {};
function drawn(name, draw) {
  if (!(name in due)) requestAnimationFrame(() => { const newest = due[name]; delete due[name]; newest(); });
  due[name] = draw;
}

function onGauge(gauge) {
  const percent = (share) => share === null || share === undefined ? "–" : `${(share * 100).toFixed(share < 0.1 ? 1 : 0)} %`;
  const command = gauge.command.at(-1), measured = gauge.measured.at(-1);
  byId("jerk-now").textContent = percent(command);
  byId("jerk-measured").textContent = percent(measured);
  byId("jerk-now").parentElement.classList.toggle("bad", !(command === null || command <= 1.0001));
  drawn("jerk", () => drawJerk(byId("jerk"), gauge));
}

function onCurves(curves) {
  drawn("curves", () => plans.draw(curves));
}

function onLink(state) {
  const words = {
    connecting: "Connecting …", open: "Connected", lost: "No connection; trying again …",
    old: "Nothing new comes from the node", token: "The token is needed",
  }[state];
  byId("link").textContent = words;
  document.body.classList.toggle("lost", state !== "open" && state !== "old");
  document.body.classList.toggle("old", state === "old");
  byId("login").hidden = state !== "token";
  if (state === "token") byId("token").focus();
  // Nobody is in control of a socket that is gone. One that is only slow still is the same.
  if (state !== "open" && state !== "old") onControl({ you: false, operator: "", viewers: 0 });
  if (state !== "open") summary("NO CONNECTION", "What is shown is old. STOP is tried all the same; if the arm moves and should not, cut its power.");
  allow();
}

function notice(words) {
  byId("notice").hidden = !words;
  byId("notice").textContent = words;
}

function allow() {
  const may = control.you && link.state === "open";
  for (const button of document.querySelectorAll("button.operator")) button.disabled = !may;
  byId("reset").disabled = !may || !["STOPPED", "FAULT"].includes(monitor);
  if (newest === null) return;
  jog.tell(newest.jog, may, newest.policy.instruction);
  record.tell(newest.recorder, may);
  episodes.allow(may, newest.recorder);
}

// -- what is asked -----------------------------------------------------------------------------

function say(what, answer, took) {
  const line = document.createElement("li"), time = document.createElement("time"), words = document.createElement("span");
  time.textContent = new Date().toLocaleTimeString();
  words.textContent = `${what}: ${answer.text || (answer.ok ? "done" : "refused")}${took === undefined ? "" : ` (answered after ${Math.round(took)} ms)`}`;
  if (!answer.ok) words.className = "bad";
  line.append(time, words);
  byId("log").prepend(line);
  while (byId("log").childElementCount > MOST_LINES) byId("log").lastElementChild.remove();
  // Beside what is pressed, wherever that is on the page.
  const said = byId("said");
  said.textContent = words.textContent;
  said.className = answer.ok ? "" : "bad";
  said.hidden = false;
  clearTimeout(hiding);
  hiding = setTimeout(() => { said.hidden = true; }, answer.ok ? SAID_MS : 3 * SAID_MS);
}
let hiding;

async function ask(what, words, shown) {
  say(shown, await link.ask(what, words));
}

wireStop(byId("stop"), link, say);
const record = new Record({
  ask,
  operator: () => byId("name").value.trim() || "operator",
  instruction: () => byId("instruction").value === "none" ? byId("text").value.trim() : "",
});
const episodes = new Episodes(ask);
const jog = new Jog(byId("joints"), link, say, instruct);

byId("control").addEventListener("submit", (event) => {
  event.preventDefault();
  if (control.you) { ask("release", {}, "Control given back"); return; }
  const name = byId("name").value.trim() || "operator";
  kept.set("name", name);
  ask("take", { name, over: control.operator !== "" }, "Take control");
});
byId("name").value = String(kept.get("name", ""));

byId("reset").addEventListener("click", () => ask("reset", {}, "Reset"));
byId("end").addEventListener("click", () => ask("end", {}, "End"));
byId("instruct").addEventListener("submit", (event) => {
  event.preventDefault();
  const text = byId("text").value.trim();
  if (!text) { byId("text").focus(); return; }
  remember(text);
  instruct(text);
});
function instruct(text) {
  return ask("instruct", { text, seconds: Number(byId("seconds").value) || 60 }, `“${text}”`);
}

// -- instructions that were given before -------------------------------------------------------

let known = [];
function offer(words) {
  known = [...new Set([...words, ...known])];
  byId("known").replaceChildren(...known.map((word) => {
    const option = document.createElement("option");
    option.value = word;
    return option;
  }));
  if (!byId("text").value && known.length) byId("text").value = known[0];
}

function remember(text) {
  const before = remembered();
  kept.set("instructions", [text, ...before.filter((word) => word !== text)].slice(0, REMEMBERED));
  offer([text]);
}

function remembered() {
  const words = kept.get("instructions", []);
  return Array.isArray(words) ? words.map(String) : [];
}
offer(remembered());

// -- the token ---------------------------------------------------------------------------------

async function logIn(token) {
  let answer;
  try {
    const sent = await fetch("login", { method: "POST", body: JSON.stringify({ token }), cache: "no-store" });
    answer = await sent.json();
  } catch {
    answer = { ok: false, text: "the computer that serves this page is not reached" };
  }
  byId("login-answer").textContent = answer.ok ? "" : answer.text;
  if (answer.ok) link.connect();
}
byId("login").addEventListener("submit", (event) => {
  event.preventDefault();
  logIn(byId("token").value.trim());
  byId("token").value = "";
});

// A link may bring the token behind a #, which no server is ever sent.
const brought = new URLSearchParams(location.hash.slice(1)).get("token");
if (brought) {
  history.replaceState(null, "", location.pathname);
  logIn(brought);
} else {
  link.connect();
}
