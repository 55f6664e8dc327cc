// SPDX-License-Identifier: Apache-2.0
// The episodes that the recorder keeps: what they are, how they went, and their videos.

const byId = (id) => document.getElementById(id);
const MARKS = { unmarked: "how did it go?", success: "success", failure: "failure" };

function element(kind, className = "", text = "") {
  const made = document.createElement(kind);
  if (className) made.className = className;
  if (text) made.textContent = text;
  return made;
}

function button(text, act, className = "") {
  const made = element("button", className, text);
  made.type = "button";
  made.addEventListener("click", act);
  return made;
}

const size = (bytes) => bytes < 1e6 ? `${Math.ceil(bytes / 1e3)} kB` : `${(bytes / 1e6).toFixed(1)} MB`;

export class Episodes {
  constructor(ask) {
    this.ask = ask;
    this.may = false;
    this.shown = new Map();
    this.player = null;
  }

  // Who may change something, and which episode is not over yet.
  allow(may, recorder) {
    this.may = may && recorder !== null && !recorder.gone;
    this.current = recorder !== null && recorder.recording && !recorder.gone ? recorder.episode : "";
    this.recording = this.current !== "";
    this.converting = recorder !== null && recorder.converting > 0 && !recorder.gone;
    for (const item of this.shown.values()) this.permit(item);
  }

  tell({ episodes, total }) {
    byId("episodes-card").hidden = total === 0;
    byId("episodes-count").textContent = episodes.length < total ? `The newest ${episodes.length} of ${total}.` : "";
    const names = new Set(episodes.map((episode) => episode.name));
    for (const [name, item] of this.shown) {
      if (names.has(name)) continue;
      if (this.player?.name === name) this.close();
      item.place.remove();
      this.shown.delete(name);
    }
    const list = byId("episodes");
    episodes.forEach((episode, index) => {
      if (!this.shown.has(episode.name)) this.shown.set(episode.name, this.item(episode.name));
      const item = this.shown.get(episode.name);
      item.newest = index === 0;
      this.fill(item, episode);
      // Nothing is moved that is in its place: a choice that is open there stays open.
      if (list.children[index] !== item.place) list.insertBefore(item.place, list.children[index] ?? null);
    });
  }

  item(name) {
    const place = element("li"), task = element("strong"), words = element("span", "words");
    const why = element("span", "why"), acts = element("div", "row"), choice = element("select");
    for (const [mark, word] of Object.entries(MARKS)) choice.add(new Option(word, mark));
    task.dir = "auto";
    const item = { name, place, task, words, why, choice, newest: false, episode: null };
    choice.addEventListener("change", () => this.ask("mark", { episode: name, mark: choice.value }, `${name}: ${choice.value}`));
    item.watch = button("Watch", () => this.watch(item));
    item.rename = button("Other task …", () => this.retask(item));
    item.remove = button("Delete …", () => this.delete(item));
    acts.append(item.watch, choice, item.rename, item.remove);
    const told = element("div", "told");
    told.append(task, words, why);
    place.append(told, acts);
    return item;
  }

  fill(item, episode) {
    item.episode = episode;
    const when = new Date(episode.started), day = Number.isNaN(when.getTime()) ? episode.name : when.toLocaleString();
    item.task.textContent = episode.problem ? episode.name : episode.task;
    item.words.textContent = episode.problem ? "" : [
      day,
      episode.operator,
      episode.rows ? `${(episode.duration_s ?? 0).toFixed(1)} s, ${episode.rows} rows` : "",
      episode.rows_intervened ? `${episode.rows_intervened} of them corrections` : "",
      episode.index < 0 ? "" : `number ${episode.index} in the dataset`,
    ].filter((word) => word).join(" · ");
    if (document.activeElement !== item.choice) item.choice.value = episode.mark;
    item.choice.className = { success: "good", failure: "bad" }[episode.mark] ?? "";
    item.choice.setAttribute("aria-label", `How ${episode.name} went`);
    this.permit(item);
  }

  permit(item) {
    const { episode } = item, current = item.name === this.current;
    item.why.textContent = current ? "being recorded"
      : episode.problem || (episode.ended ? episode.message : "its recorder ended before it: vla-record convert makes rows of it");
    item.why.classList.toggle("bad", !current && (Boolean(episode.problem) || !episode.ended));
    item.watch.disabled = episode.video_bytes === 0;
    item.watch.title = episode.video_bytes ? size(episode.video_bytes) : "The video is made with the rows.";
    item.choice.disabled = item.rename.disabled = !this.may || Boolean(episode.problem) || (this.recording && !current);
    item.remove.hidden = !item.newest;
    item.remove.disabled = !this.may || this.recording || this.converting;
  }

  // -- what is changed ---------------------------------------------------------------------------

  retask(item) {
    if (item.form) { this.end(item); return; }
    const form = element("form", "row"), input = element("input"), save = element("button", "primary", "Save");
    input.maxLength = 400;
    input.value = item.episode.task;
    input.setAttribute("aria-label", `Task of ${item.name}`);
    save.type = "submit";
    form.append(input, save, button("Leave it", () => this.end(item)));
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      const task = input.value.trim();
      if (!task) { input.focus(); return; }
      this.ask("retask", { episode: item.name, task }, `${item.name}: “${task}”`);
      this.end(item);
    });
    this.begin(item, form);
    input.focus();
  }

  // It is asked for twice: the button lies beside others.
  delete(item) {
    if (item.form) { this.end(item); return; }
    const form = element("div", "row");
    form.append(
      element("span", "", "Take it out of the dataset? Its bag is put aside."),
      button("Delete", () => { this.ask("delete", { episode: item.name }, `Delete ${item.name}`); this.end(item); }, "bad"),
      button("Leave it", () => this.end(item)),
    );
    this.begin(item, form);
  }

  begin(item, form) {
    item.form = form;
    item.place.append(form);
  }

  end(item) {
    item.form?.remove();
    item.form = null;
  }

  // -- what is looked at -------------------------------------------------------------------------

  // In the page, and never in its place: STOP stays in sight.
  async watch(item) {
    const again = this.player?.name === item.name;
    this.close();
    if (again) return;
    const place = element("div", "player"), words = element("p", "hint", "Loading …");
    const player = this.player = { name: item.name, place, item, address: null };
    place.append(words);
    item.place.append(place);
    item.watch.textContent = "Close";
    let video;
    try {
      const answer = await fetch(`episodes/${encodeURIComponent(item.name)}/video.mp4`, { cache: "no-store" });
      if (!answer.ok) throw new Error((await answer.json()).text);
      video = await answer.blob();
    } catch (error) {
      if (this.player === player) words.textContent = `There is no video: ${error.message}`;
      return;
    }
    if (this.player !== player) return;
    player.address = URL.createObjectURL(video);
    words.remove();
    this.play(player);
  }

  play({ place, address, name }) {
    const video = element("video"), bar = element("div", "row"), where = element("input"), time = element("output");
    video.muted = video.playsInline = video.disablePictureInPicture = true;
    video.setAttribute("aria-label", `Video of ${name}`);
    where.type = "range";
    where.min = where.value = "0";
    where.max = "1";
    where.step = "0.01";
    where.setAttribute("aria-label", "Where in the episode");
    const go = button("Pause", () => (video.paused ? video.play() : video.pause()));
    const show = () => {
      if (video.duration > 0) where.max = String(video.duration);
      where.value = String(video.currentTime);
      time.textContent = `${video.currentTime.toFixed(1)} of ${(video.duration || 0).toFixed(1)} s`;
      go.textContent = video.paused || video.ended ? "Play" : "Pause";
    };
    for (const event of ["loadedmetadata", "timeupdate", "play", "pause", "ended", "seeked"]) video.addEventListener(event, show);
    video.addEventListener("error", () => { time.textContent = "this browser does not play it"; });
    where.addEventListener("input", () => { video.pause(); video.currentTime = Number(where.value); });
    bar.append(go, where, time);
    place.append(video, bar);
    video.src = address;
    video.play().catch(() => show());
  }

  close() {
    if (this.player === null) return;
    const { place, item, address } = this.player;
    place.querySelector("video")?.pause();
    place.remove();
    item.watch.textContent = "Watch";
    if (address) URL.revokeObjectURL(address);
    this.player = null;
  }
}
