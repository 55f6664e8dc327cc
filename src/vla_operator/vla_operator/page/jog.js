// SPDX-License-Identifier: Apache-2.0
// Jog: a joint moves for as long as its button is held. What is held is said again and again; the
// node lets go by itself when it hears nothing.

const EVERY_MS = 100;

export class Jog {
  constructor(place, link, say, instruct) {
    this.place = place;
    this.take = document.getElementById("jog-take");
    this.resume = document.getElementById("jog-resume");
    this.instruction = "";
    this.link = link;
    this.say = say;
    this.rates = [];
    this.held = false;
    this.timer = null;
    this.speed = document.getElementById("jog-speed");
    this.take.addEventListener("click", () => this.hold(!this.held));
    // A correction is over: the policy goes on with what it was told before.
    this.resume.addEventListener("click", async () => {
      if ((await this.hold(false)).ok) instruct(this.instruction);
    });
    for (const event of ["blur", "pagehide"]) window.addEventListener(event, () => this.letGo());
    document.addEventListener("visibilitychange", () => { if (document.hidden) this.letGo(); });
  }

  async hold(hold) {
    if (!hold) this.letGo();
    const answer = await this.link.ask("arm", { hold });
    this.say(hold ? "Take the arm" : "Give the arm back", answer);
    return answer;
  }

  build(joints) {
    this.letGo();
    this.rates = joints.map(() => 0);
    this.place.replaceChildren(...joints.map((joint, index) => {
      const row = document.createElement("div"), name = document.createElement("span");
      row.className = "joint";
      name.textContent = joint;
      row.append(this.button(index, -1, "−", `${joint} down`), name, this.button(index, 1, "+", `${joint} up`));
      return row;
    }));
    this.tell({ holds: this.held, words: "" });
  }

  button(index, way, sign, label) {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = sign;
    button.setAttribute("aria-label", `Jog ${label}, while it is held`);
    const press = (event) => {
      if (event.button > 0 || button.disabled) return;
      event.preventDefault();
      button.focus();
      if (event.pointerId !== undefined) button.setPointerCapture(event.pointerId);
      this.set(index, way);
    };
    const release = () => this.set(index, 0);
    button.addEventListener("pointerdown", press);
    for (const end of ["pointerup", "pointercancel", "lostpointercapture", "blur"]) button.addEventListener(end, release);
    button.addEventListener("contextmenu", (event) => event.preventDefault());
    // Enter, for who uses no pointer: the space bar is STOP.
    button.addEventListener("keydown", (event) => { if (event.key === "Enter" && !event.repeat) press(event); });
    button.addEventListener("keyup", (event) => { if (event.key === "Enter") release(); });
    return button;
  }

  set(index, way) {
    const rate = way * Number(this.speed.value) / 100;
    if (this.rates[index] === rate) return;
    this.rates[index] = rate;
    this.send();
    const any = this.rates.some((each) => each !== 0);
    if (any && this.timer === null) this.timer = setInterval(() => this.send(), EVERY_MS);
    if (!any && this.timer !== null) { clearInterval(this.timer); this.timer = null; }
  }

  letGo() {
    if (!this.rates.some((rate) => rate !== 0)) return;
    this.rates = this.rates.map(() => 0);
    this.send();
    clearInterval(this.timer);
    this.timer = null;
  }

  send() {
    this.link.tell("jog", { rates: this.rates });
  }

  // Whether the page holds the arm, and why not any more.
  tell({ holds, words }, may = holds, instruction = "") {
    if (!holds) this.instruction = instruction || this.instruction;
    if (this.held && !holds) this.letGo();
    this.held = holds;
    this.take.textContent = holds ? "Give the arm back" : "Take the arm";
    this.resume.hidden = !holds || !this.instruction;
    this.resume.title = this.instruction;
    document.getElementById("jog-words").textContent = words || (holds ? "Hold a button to move its joint." : "Takes the arm, also from a policy in the middle of a run.");
    for (const button of this.place.querySelectorAll("button")) button.disabled = !holds || !may;
  }
}
