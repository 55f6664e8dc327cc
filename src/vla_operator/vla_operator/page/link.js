// SPDX-License-Identifier: Apache-2.0
// The socket to the node: reconnects by itself, tells how much has arrived, waits for answers.

const FIRST_WAIT_MS = 400, LONGEST_WAIT_MS = 3000, OLD_MS = 1500;

export class Link {
  constructor({ onMessage, onPicture, onChange }) {
    this.onMessage = onMessage;
    this.onPicture = onPicture;
    this.onChange = onChange;
    this.socket = null;
    this.waiting = new Map();
    this.count = 0;
    this.wait = FIRST_WAIT_MS;
    this.heard = -Infinity;
    this.state = "connecting";
    setInterval(() => this.look(), 250);
  }

  get open() {
    return this.socket !== null && this.socket.readyState === WebSocket.OPEN;
  }

  // Ask first whether a token is needed: a socket that is refused does not say why.
  async connect() {
    this.change("connecting");
    let admitted = false;
    try {
      const answer = await fetch("session", { cache: "no-store" });
      admitted = (await answer.json()).ok === true;
    } catch {
      this.later();
      return;
    }
    if (!admitted) {
      this.change("token");
      return;
    }
    const socket = new WebSocket(`${location.origin.replace(/^http/, "ws")}/socket`);
    socket.binaryType = "arraybuffer";
    let arrived = 0;
    const seen = () => {
      arrived += 1;
      if (socket.readyState === WebSocket.OPEN) socket.send(JSON.stringify({ do: "seen", n: arrived }));
    };
    socket.onopen = () => { this.wait = FIRST_WAIT_MS; };
    socket.onmessage = ({ data }) => {
      if (typeof data === "string") {
        seen();
        this.take(JSON.parse(data));
      } else {
        const length = new DataView(data).getUint16(0);
        const head = JSON.parse(new TextDecoder().decode(new Uint8Array(data, 2, length)));
        // The next one may come once this one is drawn: a slow screen is not sent more than it shows.
        this.onPicture(head, new Blob([new Uint8Array(data, 2 + length)], { type: "image/jpeg" }), seen);
      }
    };
    socket.onclose = () => {
      if (this.socket !== socket) return;
      this.socket = null;
      for (const { tell } of this.waiting.values()) tell({ ok: false, text: "the connection was lost" });
      this.waiting.clear();
      this.later();
    };
    this.socket = socket;
  }

  later() {
    this.change("lost");
    setTimeout(() => this.connect(), this.wait);
    this.wait = Math.min(this.wait * 2, LONGEST_WAIT_MS);
  }

  take(message) {
    if (message.type === "answer") {
      const waits = this.waiting.get(message.n);
      this.waiting.delete(message.n);
      if (waits) waits.tell(message);
      return;
    }
    if (message.type === "state") {
      this.heard = performance.now();
      this.change("open");
    }
    this.onMessage(message);
  }

  look() {
    if (this.state === "open" && performance.now() - this.heard > OLD_MS) this.change("old");
  }

  change(state) {
    if (state === this.state) return;
    this.state = state;
    this.onChange(state);
  }

  // Without an answer.
  tell(what, words = {}) {
    if (this.open) this.socket.send(JSON.stringify({ do: what, n: 0, ...words }));
  }

  ask(what, words = {}) {
    return new Promise((tell) => {
      if (!this.open) {
        tell({ ok: false, text: "there is no connection" });
        return;
      }
      this.count += 1;
      this.waiting.set(this.count, { tell });
      this.socket.send(JSON.stringify({ do: what, n: this.count, ...words }));
    });
  }
}

// Over HTTP, for when the socket is lost or stuck.
export async function stopOverHttp() {
  try {
    const answer = await fetch("stop", { method: "POST", keepalive: true, cache: "no-store" });
    return await answer.json();
  } catch {
    return { ok: false, text: "the computer that serves this page is not reached: cut the arm's power if it moves" };
  }
}
