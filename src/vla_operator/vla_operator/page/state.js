// SPDX-License-Identifier: Apache-2.0
// The state of monitor, planner and policy, in words. Texts come from the graph and are only text.

const byId = (id) => document.getElementById(id);

export function items(list, words) {
  const wanted = words.join("\n");
  if (list.dataset.shown === wanted) return;
  list.dataset.shown = wanted;
  list.replaceChildren(...words.map((word) => {
    const item = document.createElement("li");
    item.textContent = word;
    return item;
  }));
}

const LEVELS = {
  "READY": "good", "PLANNING": "good", "FREE": "good", "RUNNING": "good", "IDLE": "good",
  "STARTUP": "warn", "READY, NO PERMIT": "warn", "WAITING": "warn", "NO PERMIT": "warn",
};
export const level = (name) => LEVELS[name] ?? "bad";

const nodes = new Map();

function node(title) {
  if (!nodes.has(title)) {
    const place = document.createElement("div"), head = document.createElement("h3");
    const label = document.createElement("span"), name = document.createElement("span");
    const words = document.createElement("p"), list = document.createElement("ul");
    label.textContent = title;
    name.className = "name";
    head.append(label, name);
    place.append(head, words, list);
    byId("nodes").append(place);
    nodes.set(title, { place, name, words, list });
  }
  return nodes.get(title);
}

function showNode(title, state, lines) {
  const shown = node(title);
  shown.place.className = `node ${level(state.name)}`;
  shown.name.textContent = state.name;
  shown.words.textContent = state.words;
  items(shown.list, lines.filter((line) => line));
}

const seconds = (value) => value === null ? "–" : value < 1 ? `${(value * 1000).toFixed(value < 0.01 ? 1 : 0)} ms` : `${value.toFixed(1)} s`;

function showFigures(state) {
  const { monitor, executor, policy } = state;
  const rows = [
    ["policy", policy.id || "–"],
    ["policy delay", seconds(policy.delay_s)],
    ["planning time", seconds(policy.plan_time_s)],
    ["chunks, plans", `${policy.chunks}, ${policy.plans}`],
    ["plans the controller ran", `${executor.acknowledged} of ${executor.plans}`],
    ["plans refused by the monitor", `${monitor.rejected}`],
    ["speed", monitor.speed === null ? "–" : `${Math.round(monitor.speed * 100)} %`],
    ["nearest in the workspace", state.workspace ? state.workspace.text : "not watched"],
  ];
  const list = byId("figures");
  list.replaceChildren(...rows.flatMap(([key, value]) => {
    const term = document.createElement("dt"), said = document.createElement("dd");
    term.textContent = key;
    said.textContent = value;
    return [term, said];
  }));
  for (const words of [monitor.slow_reason, monitor.last_rejection, executor.last_refusal]) {
    if (!words) continue;
    const said = document.createElement("dd");
    said.className = "words";
    said.textContent = words;
    list.append(said);
  }
}

function showServos(servos) {
  byId("servos-card").hidden = servos.length === 0;
  byId("servos").replaceChildren(...servos.map((servo) => {
    const row = document.createElement("tr");
    const number = (value, digits) => value === null ? "–" : value.toFixed(digits);
    const words = [servo.joint, number(servo.temperature_c, 0), number(servo.load, 2), number(servo.current_a, 2), servo.message];
    words.forEach((word, index) => {
      const cell = document.createElement(index === 0 ? "th" : "td");
      if (index === 0) cell.scope = "row";
      cell.textContent = word;
      if (index === words.length - 1) cell.className = ["good", "warn", "bad", "bad"][servo.level];
      row.append(cell);
    });
    return row;
  }));
}

export function showState(state) {
  const { monitor, executor, policy } = state;
  showNode("Monitor", monitor, monitor.name === "READY" ? [] : monitor.waiting_for);
  showNode("Planner", executor, [...executor.waiting_for, executor.name === "FREE" ? executor.last_end : ""]);
  showNode("Policy", policy, [policy.phase ? `phase: ${policy.phase}` : "", ...policy.waiting_for, ...policy.remarks]);
  const latched = ["STOPPING", "STOPPED", "FAULT"].includes(monitor.name);
  byId("stopped").hidden = !latched;
  byId("cause").textContent = monitor.cause || "no cause is told";
  items(byId("rungs"), monitor.rung_log);
  items(byId("blocks"), monitor.blocks_reset.length ? monitor.blocks_reset : ["nothing"]);
  byId("instruction").textContent = policy.instruction || "none";
  byId("last-end").textContent = policy.last_end;
  showFigures(state);
  showServos(state.servos);
  summary(monitor.name, latched && monitor.cause ? monitor.cause : monitor.words);
}

export function summary(name, words) {
  const place = document.querySelector(".summary");
  const shown = `${name}\n${words}`;
  if (place.dataset.shown === shown) return;
  place.dataset.shown = shown;
  place.className = `summary ${level(name)}`;
  byId("summary-name").textContent = name;
  byId("summary-words").textContent = words;
}
