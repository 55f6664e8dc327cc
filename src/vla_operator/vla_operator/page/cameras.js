// SPDX-License-Identifier: Apache-2.0
// The cameras, each with the age of its picture, which goes on growing while none comes.

const WARN_S = 0.5, BAD_S = 2;

export class Cameras {
  constructor(place) {
    this.place = place;
    this.empty = place.firstElementChild;
    this.all = new Map();
    setInterval(() => this.age(), 200);
  }

  // Which there are, and what is wrong with them.
  tell(cameras) {
    const names = new Set(cameras.map((camera) => camera.name));
    for (const [name, { figure }] of this.all) {
      if (!names.has(name)) { figure.remove(); this.all.delete(name); }
    }
    for (const camera of cameras) this.of(camera.name).note = camera.note;
    this.empty.hidden = cameras.length > 0;
  }

  show(head, blob, seen) {
    const camera = this.of(head.camera);
    const address = URL.createObjectURL(blob);
    const done = () => { URL.revokeObjectURL(address); seen(); };
    camera.image.onload = done;
    camera.image.onerror = done;
    camera.image.src = address;
    camera.age = head.age_s;
    camera.at = performance.now();
    // A page that nobody sees may not draw; it takes pictures in all the same.
    if (document.hidden) { camera.image.onload = camera.image.onerror = () => URL.revokeObjectURL(address); seen(); }
  }

  of(name) {
    if (!this.all.has(name)) {
      const figure = document.createElement("figure");
      const image = document.createElement("img");
      const caption = document.createElement("figcaption");
      const label = document.createElement("span"), age = document.createElement("span");
      image.alt = `Camera ${name}`;
      label.textContent = name;
      age.className = "age bad";
      caption.append(label, age);
      figure.append(image, caption);
      this.place.append(figure);
      this.empty.hidden = true;
      this.all.set(name, { figure, image, told: age, age: null, at: 0, note: "" });
    }
    return this.all.get(name);
  }

  age() {
    for (const camera of this.all.values()) {
      const age = camera.age === null ? Infinity : camera.age + (performance.now() - camera.at) / 1000;
      const ahead = age < -WARN_S;
      camera.told.className = `age ${age > BAD_S || ahead ? "bad" : age > WARN_S ? "warn" : ""}`;
      const old = ahead ? "stamped in the future" : Number.isFinite(age) ? `${Math.max(0, age).toFixed(1)} s old` : "no picture";
      camera.told.textContent = camera.note && age > WARN_S ? `${old}: ${camera.note}` : old;
    }
  }
}
