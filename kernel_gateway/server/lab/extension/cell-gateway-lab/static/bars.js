/* The notebook of a session. A stopped one opens at once, readable, and runs nothing before somebody says so: a bar tells what bringing
 * its variables back would run. While the model is at work there is a button to stop it.
 */
export class Bars {
  constructor(app, lab, attendance, server) {
    Object.assign(this, { app, lab, attendance, server });
  }

  // Called for every notebook, before Lab looks for a kernel for it.
  createNew(panel, context) {
    const session = this.server.sessionOf(context.path);
    if (!session) return undefined;
    const bar = new Bar(this, panel, context, session);
    return { get isDisposed() { return bar.isDisposed; }, dispose: () => bar.dispose() };
  }
}

class Bar {
  constructor({ app, lab, attendance, server }, panel, context, session) {
    Object.assign(this, { app, lab, attendance, server, panel, context, session });
    this.kernel = context.sessionContext;
    this.isDisposed = false;
    this.isDismissed = false;
    this.isWaking = false;
    this.build();
    this.off = [attendance.on("state", () => this.update()), attendance.on("lost", () => this.update())];
    this.holdBack();
    this.update();
  }

  // Lab looks for a kernel as soon as a notebook is open, and starts one when there is none. Here it looks once the session lives;
  // what waits for the kernel (widgets, the debugger) then finds it. When a person runs a cell, that starts the session.
  holdBack() {
    const initialize = this.kernel.initialize.bind(this.kernel), start = this.kernel.startKernel.bind(this.kernel);
    const lives = new Promise((resolve) => { this.release = resolve; });
    this.kernel.initialize = () => (this.initialized ??= lives.then(initialize));
    this.kernel.startKernel = async () => {
      if (this.attendance.live?.has(this.session) ?? true) return start();
      await this.wake("auto");
      return false;
    };
  }

  build() {
    this.text = Object.assign(document.createElement("span"), { className: "cg-Bar-text" });
    this.buttons = Object.assign(document.createElement("span"), { className: "cg-Bar-buttons" });
    const inner = Object.assign(document.createElement("div"), { className: "cg-Bar-inner" });
    inner.append(this.text, this.buttons);
    this.widget = new this.lab.widgets.Widget();
    this.widget.node.append(inner);
    this.widget.node.setAttribute("role", "region");
    this.widget.node.setAttribute("aria-label", "This session is stopped");
    this.widget.addClass("cg-Bar");
    this.widget.hide();
    this.panel.contentHeader.addWidget(this.widget);
    // Lab places widgets by their least height, and does not ask how high a text became.
    this.measuring = new ResizeObserver(() => {
      this.widget.node.style.minHeight = `${Math.ceil(inner.getBoundingClientRect().height)}px`;
      this.panel.contentHeader.fit();
    });
    this.measuring.observe(inner);
    const { ToolbarButton, stopIcon } = this.lab.ui;
    this.stop = new ToolbarButton({
      label: "Stop the model",
      icon: stopIcon,
      tooltip: "Stop the model's turn, and the cell that it runs",
      className: "cg-Stop",
      onClick: () => void this.app.commands.execute("cell-gateway:stop", { session: this.session }),
    });
    this.stop.hide();
    this.panel.toolbar.insertItem(0, "cell-gateway-stop", this.stop);
  }

  update() {
    this.stop.setHidden(!this.attendance.turns.has(this.session));
    if (this.attendance.live === null || this.isWaking || this.isDisposed) return;
    const isLive = this.attendance.live.has(this.session);
    if (isLive) {
      this.isDismissed = false;
      this.hide();
      void this.attach();
    } else if (!this.isDismissed && this.widget.isHidden && !this.isAsking) {
      void this.offer();
    }
  }

  async offer() {
    this.isAsking = true;
    try {
      const cost = await this.server.call("GET", this.server.session(this.session, "resume"));
      if (!cost.running && !this.isDisposed && !this.attendance.live?.has(this.session)) this.show(cost);
    } catch (error) {
      // No session of ours, or one that was just deleted.
      this.isDismissed = true;
      this.release();
      console.info(`cell-gateway: ${error.message}`);
    } finally {
      this.isAsking = false;
    }
  }

  show(cost) {
    const cells = `${cost.cells} ${cost.cells === 1 ? "cell" : "cells"}`;
    const network = cost.network.length ? ` It used the network in cell ${cost.network.join(", ")}.` : "";
    if (cost.cells) {
      this.say(`This session is stopped. Running its cells again brings its variables back.${network}`, [
        [`Bring variables back (${cells}, ${duration(cost.seconds)})`, () => this.wake("yes"), "jp-mod-accept"],
        ["Start without them", () => this.wake("files"), ""],
        ["Not now", () => this.dismiss(), ""],
      ]);
    } else {
      this.say("This session is stopped. It has no variables to bring back.", [
        ["Start it", () => this.wake("files"), "jp-mod-accept"],
        ["Not now", () => this.dismiss(), ""],
      ]);
    }
    this.widget.show();
  }

  say(text, buttons) {
    this.text.textContent = text;
    this.buttons.replaceChildren(...buttons.map(([label, act, style]) => {
      const made = Object.assign(document.createElement("button"), { type: "button", textContent: label });
      made.className = `jp-mod-styled ${style}`.trim();
      made.addEventListener("click", act);
      return made;
    }));
  }

  dismiss() {
    this.isDismissed = true;
    this.hide();
  }

  hide() {
    this.widget.hide();
  }

  async wake(replay) {
    this.isWaking = true;
    this.say(replay === "yes" ? "Its cells run again …" : "It starts …", []);
    try {
      const found = await this.server.call("POST", this.server.session(this.session, "resume"), { replay });
      const missing = found.replay?.names_missing ?? [];
      await this.attach();
      this.isWaking = false;
      if (missing.length) this.say(`It runs again, without: ${missing.join(", ")}`, [["Close", () => this.dismiss(), ""]]);
      else this.hide();
    } catch (error) {
      this.isWaking = false;
      this.dismiss();
      this.server.complain(error);
    }
  }

  // To the session's own kernel. Lab's own ways would make a second binding of the notebook to it.
  async attach() {
    this.release();
    await this.initialized;
    if (!this.kernel.isReady || this.isAttaching || !isGone(this.kernel.session?.kernel)) return;
    this.isAttaching = true;
    try {
      const { sessions } = this.app.serviceManager;
      await sessions.refreshRunning();
      const path = this.server.contents.localPath(this.context.path);
      const model = [...sessions.running()].find((one) => one.path === path || one.path === this.context.path);
      if (model?.kernel && isGone(this.kernel.session?.kernel)) this.kernel._handleNewSession(sessions.connectTo({ model }));
    } finally {
      this.isAttaching = false;
    }
  }

  dispose() {
    this.isDisposed = true;
    this.release();
    this.measuring.disconnect();
    for (const off of this.off) off();
  }
}

const isGone = (kernel) => !kernel || kernel.isDisposed || kernel.status === "dead";

function duration(seconds) {
  if (seconds < 1) return "under 1 s";
  return seconds < 90 ? `${seconds < 10 ? seconds.toFixed(1) : Math.round(seconds)} s` : `${Math.round(seconds / 60)} min`;
}
