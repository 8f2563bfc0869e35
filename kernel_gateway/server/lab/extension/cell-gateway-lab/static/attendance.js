/* One websocket for as long as the page is open. While any page has one the server keeps questions waiting; with the last one gone
 * the answer is no. It carries nothing from here to there: answers go by POST.
 */
const FIRST_WAIT = 500, LONGEST_WAIT = 5000;

export class Attendance {
  constructor(server) {
    this.server = server;
    // Sessions that live, and those in which the model is at work; null until the server has said so.
    this.live = null;
    this.turns = new Set();
    this.listeners = new Map();
    this.wait = FIRST_WAIT;
  }

  // Kinds: "state", "question", "settled", and "lost" when the server is gone. The result takes the listener away again.
  on(kind, listener) {
    const all = this.listeners.get(kind) ?? new Set();
    this.listeners.set(kind, all.add(listener));
    return () => all.delete(listener);
  }

  tell(kind, event) {
    for (const listener of [...(this.listeners.get(kind) ?? [])]) listener(event);
  }

  open() {
    const { settings, join } = this.server;
    const query = settings.appendToken && settings.token ? `?token=${encodeURIComponent(settings.token)}` : "";
    const socket = new settings.WebSocket(join(settings.wsUrl, "cell-gateway/attend") + query);
    socket.onmessage = (message) => {
      this.wait = FIRST_WAIT;
      const event = JSON.parse(message.data);
      if (event.event === "state") {
        this.live = new Set(event.live);
        this.turns = new Set(event.turns);
      }
      this.tell(event.event, event);
    };
    socket.onclose = () => {
      this.live = null;
      this.turns = new Set();
      this.tell("lost", {});
      setTimeout(() => this.open(), this.wait);
      this.wait = Math.min(this.wait * 2, LONGEST_WAIT);
    };
  }
}
