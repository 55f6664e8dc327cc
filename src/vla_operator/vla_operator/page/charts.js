// SPDX-License-Identifier: Apache-2.0
// What is drawn: the jerk of the last half minute, and plan against chunk for each joint.

const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

function prepared(canvas) {
  const ratio = window.devicePixelRatio || 1;
  const { clientWidth: width, clientHeight: height } = canvas;
  if (canvas.width !== Math.round(width * ratio) || canvas.height !== Math.round(height * ratio)) {
    canvas.width = Math.round(width * ratio);
    canvas.height = Math.round(height * ratio);
  }
  const pen = canvas.getContext("2d");
  pen.setTransform(ratio, 0, 0, ratio, 0, 0);
  pen.clearRect(0, 0, width, height);
  pen.font = "11px system-ui, sans-serif";
  pen.lineJoin = "round";
  return { pen, width, height };
}

// A gap where nothing is known.
function line(pen, points, style, width) {
  pen.beginPath();
  let drawn = false;
  for (const point of points) {
    if (point === null) { drawn = false; continue; }
    if (drawn) pen.lineTo(...point); else pen.moveTo(...point);
    drawn = true;
  }
  pen.strokeStyle = style;
  pen.lineWidth = width;
  pen.stroke();
}

export function drawJerk(canvas, gauge) {
  const { pen, width, height } = prepared(canvas);
  const known = [...gauge.command, ...gauge.measured].filter((share) => share !== null);
  const top = Math.max(1.25, ...known) * 1.05;
  const left = 38, bottom = 16;
  const y = (share) => (height - bottom) - (share / top) * (height - bottom - 6);
  const x = (index, count) => left + ((index + 1) / count) * (width - left - 4);
  pen.fillStyle = colour("--dim");
  for (const share of top > 3 ? [0, 1, Math.floor(top)] : [0, 0.5, 1]) {
    line(pen, [[left, y(share)], [width, y(share)]], share === 1 ? colour("--bad") : colour("--line"), share === 1 ? 1.5 : 1);
    pen.fillText(`${Math.round(share * 100)} %`, 0, y(share) + 4);
  }
  pen.fillText("30 s ago", left, height - 3);
  pen.fillText("now", width - 26, height - 3);
  pen.fillStyle = colour("--bad");
  pen.fillText("limit", width - 28, y(1) - 4);
  const shown = (shares) => shares.map((share, index) => share === null ? null : [x(index, shares.length), y(share)]);
  line(pen, shown(gauge.measured), colour("--measured"), 1.2);
  line(pen, shown(gauge.command), colour("--plan"), 2);
}

export class Plans {
  constructor(place) {
    this.place = place;
    this.joints = "";
    this.figures = [];
  }

  draw(curves) {
    if (curves.joints.join() !== this.joints) this.build(curves.joints);
    this.figures.forEach((figure, index) => this.drawOne(figure, curves, index));
  }

  build(joints) {
    this.joints = joints.join();
    this.place.replaceChildren();
    this.figures = joints.map((joint) => {
      const figure = document.createElement("figure");
      const caption = document.createElement("figcaption");
      const name = document.createElement("b"), value = document.createElement("span");
      const canvas = document.createElement("canvas");
      name.textContent = joint;
      canvas.setAttribute("role", "img");
      canvas.setAttribute("aria-label", `Plan against chunk of ${joint}`);
      caption.append(name, value);
      figure.append(caption, canvas);
      this.place.append(figure);
      return { canvas, value };
    });
  }

  drawOne({ canvas, value }, curves, joint) {
    const { pen, width, height } = prepared(canvas);
    const all = [curves.chunk, curves.plan, curves.measured].map((curve) => curve ? curve.p[joint] : []);
    const known = all.flat().filter((each) => each !== null);
    const low = Math.min(...known), high = Math.max(...known);
    const middle = known.length ? (low + high) / 2 : 0;
    const span = Math.max(0.2, known.length ? (high - low) * 1.15 : 0);
    const x = (t) => ((t + curves.before_s) / (curves.before_s + curves.after_s)) * width;
    const y = (p) => height / 2 - ((p - middle) / span) * (height - 8);
    line(pen, [[x(0), 0], [x(0), height]], colour("--line"), 1);
    line(pen, [[0, height - 0.5], [width, height - 0.5]], colour("--line"), 1);
    const shown = (curve) => curve.p[joint].map((p, index) => p === null ? null : [x(curve.t[index]), y(p)]);
    if (curves.chunk) {
      pen.fillStyle = colour("--chunk");
      for (const point of shown(curves.chunk)) {
        if (point === null) continue;
        pen.beginPath();
        pen.arc(...point, 1.8, 0, 7);
        pen.fill();
      }
    }
    if (curves.plan) line(pen, shown(curves.plan), colour("--plan"), 2);
    if (curves.measured) line(pen, shown(curves.measured), colour("--measured"), 1.5);
    const last = curves.measured ? curves.measured.p[joint].at(-1) : null;
    value.textContent = last === null ? "–" : `${last.toFixed(2)} rad`;
  }
}
