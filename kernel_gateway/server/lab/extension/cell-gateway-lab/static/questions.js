/* Questions of the network, one after another, in a dialog above everything else. Everything in it is put in as text: a host, a path
 * and a cell's source are chosen by code in a sandbox.
 */
// Somebody who was typing when the dialog came must not answer it by that.
const GUARD = 700;

const TUNNEL = "A tunnel carries any bytes, and nobody can see which: whatever this code can read in its sandbox can be sent to this host, " +
  "and to whomever it forwards it.";

function meaning({ as: mode, method }) {
  if (mode === "tunnel") return TUNNEL;
  const out = method === "GET" || method === "HEAD"
    ? "What can leave by it is what fits into addresses and headers."
    : "It is a way out for whatever this code can read in its sandbox.";
  return `A yes allows ${method} to any path of this host; each request is written down. ${out}`;
}

export class Questions {
  constructor(attendance, server) {
    this.server = server;
    // By session and number, in the order in which they came.
    this.waiting = new Map();
    this.shown = null;
    attendance.on("question", (question) => this.add(question));
    attendance.on("settled", (event) => this.remove(keyOf(event)));
    // They come again with the server, when they still wait.
    attendance.on("lost", () => [...this.waiting.keys()].forEach((key) => this.remove(key)));
  }

  add(question) {
    const key = keyOf(question);
    question.until = performance.now() + question.left * 1000;
    this.waiting.set(key, question);
    if (this.shown?.key === key) this.shown.describe(question);
    this.next();
  }

  remove(key) {
    this.waiting.delete(key);
    if (this.shown?.key === key) this.shown.close();
    this.next();
  }

  next() {
    const [first] = this.waiting;
    if (!this.shown && first) {
      const [key, question] = first;
      this.shown = new QuestionDialog(key, question, (allow) => this.answer(key, question, allow), () => { this.shown = null; });
    }
    this.shown?.count(this.waiting.size - 1);
  }

  async answer(key, question, allow) {
    this.remove(key);
    try {
      await this.server.call("POST", this.server.session(question.session, "questions", question.question), { allow });
    } catch (error) {
      this.server.complain(error);
    }
  }
}

const keyOf = ({ session, question }) => `${session} ${question}`;

class QuestionDialog {
  constructor(key, question, answer, closed) {
    this.key = key;
    this.answer = answer;
    this.closed = closed;
    this.build();
    this.describe(question);
    this.before = document.activeElement;
    document.body.append(this.node);
    this.node.showModal();
    this.node.focus();
    this.guard = setTimeout(() => {
      this.deny.disabled = this.allow.disabled = false;
      this.deny.focus();
    }, GUARD);
    this.clock = setInterval(() => this.tick(), 500);
  }

  build() {
    this.node = element("dialog", { className: "cg-Question", tabIndex: -1 });
    this.node.setAttribute("role", "alertdialog");
    this.node.setAttribute("aria-labelledby", "cg-question-title");
    this.node.setAttribute("aria-describedby", "cg-question-what");
    this.host = element("bdi", { className: "cg-Question-host" });
    const title = element("h2", { id: "cg-question-title" });
    title.append("Allow ", this.host, "?");
    this.who = element("p", { id: "cg-question-what" });
    this.source = element("pre", {});
    this.request = element("p", { className: "cg-Question-request" });
    this.meaning = element("p", { className: "cg-Question-meaning" });
    this.left = element("p", { className: "cg-Question-left" });
    this.deny = button("Deny", "jp-mod-accept", () => this.answer(false));
    this.allow = button("Allow for this session", "jp-mod-reject", () => this.answer(true));
    const buttons = element("div", { className: "cg-Question-buttons" });
    buttons.append(this.left, this.allow, this.deny);
    this.node.append(title, this.who, this.source, this.request, this.meaning, buttons);
    // Escape.
    this.node.addEventListener("cancel", (event) => {
      event.preventDefault();
      if (!this.deny.disabled) this.answer(false);
    });
    // A browser closes it on a second Escape whatever we say.
    this.node.addEventListener("close", () => { if (!this.isClosing) this.answer(false); });
    // Lab's shortcuts are not for this dialog.
    this.node.addEventListener("keydown", (event) => event.stopPropagation());
  }

  describe(question) {
    this.question = question;
    this.host.textContent = question.host;
    this.who.textContent = whoAsks(question);
    this.source.textContent = question.asker?.source ?? "";
    this.source.hidden = !question.asker;
    const request = question.as === "tunnel" ? "a tunnel (CONNECT)" : `${question.method} ${question.path}`;
    this.request.textContent = `It asks for: ${request}`;
    this.meaning.textContent = meaning(question);
    this.tick();
  }

  count(more) {
    this.more = more;
    this.tick();
  }

  tick() {
    const seconds = Math.max(0, Math.ceil((this.question.until - performance.now()) / 1000));
    const more = this.more ? ` ${this.more} more ${this.more === 1 ? "waits" : "wait"}.` : "";
    this.left.textContent = `No answer within ${seconds} s means no.${more}`;
  }

  close() {
    this.isClosing = true;
    clearTimeout(this.guard);
    clearInterval(this.clock);
    this.node.close();
    this.node.remove();
    this.before?.focus?.({ preventScroll: true });
    this.closed();
  }
}

function whoAsks({ session, asker }) {
  if (!asker) return `Code in the session ${session} wants to reach it.`;
  const whose = asker.author === "person" ? "a cell that a person ran" : "a cell of the model";
  return asker.running
    ? `In the session ${session}, cell ${asker.number} wants to reach it (${whose}):`
    : `In the session ${session}, something that cell ${asker.number} left running wants to reach it (${whose}):`;
}

function element(tag, properties) {
  return Object.assign(document.createElement(tag), properties);
}

function button(text, style, act) {
  const made = element("button", { textContent: text, type: "button", disabled: true });
  made.className = `jp-Dialog-button ${style} jp-mod-styled`;
  made.addEventListener("click", act);
  return made;
}
