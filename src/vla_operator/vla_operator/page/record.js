// SPDX-License-Identifier: Apache-2.0
// Recording, where there is a recorder: begin, success, failure, throw away, keep the last seconds.

import { items } from "./state.js";

const byId = (id) => document.getElementById(id);
const seconds = (value) => `${(value ?? 0).toFixed(0)} s`;

export class Record {
  constructor({ ask, operator, instruction }) {
    byId("record").addEventListener("submit", (event) => {
      event.preventDefault();
      // Without a task the recorder takes the whole of the policy's own; here it may be cut.
      const task = byId("task").value.trim() || instruction();
      ask("record", { task, operator: operator() }, task ? `Record “${task}”` : "Record");
    });
    for (const mark of ["success", "failure", "unmarked"]) {
      byId(`record-${mark}`).addEventListener("click", () => ask("finish", { mark, discard: false }, `End of the episode: ${mark}`));
    }
    byId("record-discard").addEventListener("click", () => ask("finish", { mark: "unmarked", discard: true }, "Episode thrown away"));
    byId("keep").addEventListener("submit", (event) => {
      event.preventDefault();
      const given = Number(byId("keep-seconds").value) || 20;
      ask("keep", { task: byId("task").value.trim(), operator: operator(), seconds: given }, `Keep the last ${given} s`);
    });
  }

  tell(recorder, may) {
    byId("record-card").hidden = recorder === null;
    if (recorder === null) return;
    const { gone, recording } = recorder;
    const words = byId("record-gone");
    words.hidden = !gone;
    words.textContent = gone;
    for (const id of ["record-state", "record", "keep", "record-end"]) byId(id).hidden = Boolean(gone);
    byId("record-idle").hidden = recording;
    byId("record-ends").hidden = !recording;
    byId("keep").hidden = recording || Boolean(gone);
    byId("record-begin").disabled = byId("keep-last").disabled = !may || Boolean(gone);
    for (const name of ["success", "failure", "unmarked", "discard"]) byId(`record-${name}`).disabled = !may;
    byId("record-state").textContent = recording
      ? `Recording “${recorder.task}”: ${recorder.rows} rows, ${seconds(recorder.elapsed_s)}`
      : recorder.missing.length ? "Nothing can be recorded now:" : "Ready to record.";
    byId("record-state").className = recording ? "recording" : "";
    this.hand(recorder);
    items(byId("record-missing"), gone ? [] : recorder.missing);
    byId("keep-reach").textContent = `s (${seconds(recorder.remembered_s)} are remembered)`;
    byId("record-end").textContent = [recorder.last_end, recorder.last_conversion, recorder.dropped ? `${recorder.dropped} messages were lost` : ""].filter((word) => word).join(" · ");
    byId("record-count").textContent = `${recorder.in_dataset} episode${recorder.in_dataset === 1 ? "" : "s"} in the dataset${recorder.converting ? `, ${recorder.converting} being made` : ""}`;
    const ages = recorder.ages.map(([name, age]) => `${name} ${age === null ? "never heard" : `${(age * 1000).toFixed(0)} ms`}`);
    byId("record-ages").textContent = ages.length ? `Ages: ${ages.join(", ")}${recorder.skew_s === null ? "" : `; apart by ${(recorder.skew_s * 1000).toFixed(0)} ms`}` : "";
    byId("record-folder").textContent = `Folder: ${recorder.folder}`;
  }

  // Whose rows these are, while they are recorded: corrections are marked as such.
  hand({ recording, gone, holder, intervention }) {
    const words = byId("record-hand");
    words.hidden = !recording || Boolean(gone);
    words.className = intervention ? "correction" : "hint";
    words.textContent = intervention
      ? `${holder} has the arm: these rows are marked as a correction.`
      : holder ? `${holder} has the arm. Take it (Jog) to correct: those rows are marked.` : "Nobody has the arm.";
  }
}
