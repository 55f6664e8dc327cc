// SPDX-License-Identifier: Apache-2.0
// Recording, where there is a recorder: begin, success, failure, throw away, and what was recorded.

import { items } from "./state.js";

const byId = (id) => document.getElementById(id);

export class Record {
  constructor({ ask, operator, instruction }) {
    this.may = false;
    byId("record").addEventListener("submit", (event) => {
      event.preventDefault();
      const task = byId("task").value.trim() || instruction();
      if (!task) { byId("task").focus(); return; }
      ask("record", { task, operator: operator() }, `Record “${task}”`);
    });
    for (const mark of ["success", "failure", "unmarked"]) {
      byId(`record-${mark}`).addEventListener("click", () => ask("finish", { mark, discard: false }, `End of the episode: ${mark}`));
    }
    byId("record-discard").addEventListener("click", () => ask("finish", { mark: "unmarked", discard: true }, "Episode thrown away"));
    byId("record-delete").addEventListener("click", () => ask("delete", {}, "Delete the last episode"));
    this.ask = ask;
  }

  tell(recorder, may) {
    byId("record-card").hidden = recorder === null;
    if (recorder === null) return;
    byId("record-begin").disabled = !may || recorder.recording;
    for (const name of ["success", "failure", "unmarked", "discard"]) byId(`record-${name}`).disabled = !may || !recorder.recording;
    byId("record-delete").disabled = !may || recorder.recording;
    byId("record-state").textContent = recorder.recording
      ? `Recording: ${recorder.rows} rows, ${(recorder.elapsed_s ?? 0).toFixed(0)} s`
      : recorder.missing.length ? "Nothing can be recorded now:" : "Ready to record.";
    byId("record-state").className = recorder.recording ? "recording" : "";
    items(byId("record-missing"), recorder.missing);
    const ages = recorder.ages.map(([name, age]) => `${name} ${age === null ? "never heard" : `${(age * 1000).toFixed(0)} ms`}`);
    byId("record-ages").textContent = ages.length ? `Ages: ${ages.join(", ")}${recorder.skew_s === null ? "" : `; apart by ${(recorder.skew_s * 1000).toFixed(0)} ms`}` : "";
    byId("record-end").textContent = [recorder.last_end, recorder.last_conversion, recorder.dropped ? `${recorder.dropped} messages were lost` : ""].filter((word) => word).join(" · ");
    byId("record-count").textContent = `${recorder.in_dataset} in the dataset${recorder.converting ? `, ${recorder.converting} being converted` : ""} · ${recorder.folder}`;
    this.list(recorder.episodes, may);
  }

  list(episodes, may) {
    const list = byId("episodes"), shown = JSON.stringify([episodes, may]);
    if (list.dataset.shown === shown) return;
    list.dataset.shown = shown;
    list.replaceChildren(...episodes.map((episode) => {
      const row = document.createElement("tr");
      for (const word of [episode.name, episode.task, String(episode.rows)]) {
        const cell = document.createElement("td");
        cell.textContent = word;
        row.append(cell);
      }
      const cell = document.createElement("td"), choice = document.createElement("select");
      choice.setAttribute("aria-label", `How ${episode.name} went`);
      choice.disabled = !may;
      for (const mark of ["unmarked", "success", "failure"]) choice.add(new Option(mark, mark, false, mark === episode.mark));
      choice.addEventListener("change", () => this.ask("mark", { episode: episode.name, mark: choice.value }, `${episode.name}: ${choice.value}`));
      cell.append(choice);
      row.append(cell);
      return row;
    }));
  }
}
