/* Commands: the sessions page in a tab, stopping the model, exporting. In the launcher there is a card for the first. */
const FORMATS = { ipynb: "Notebook (.ipynb)", html: "One page to share (.html)", pdf: "Document (.pdf)", py: "Script (.py)", zip: "Everything (.zip)" };

// A stack of cells; Lab colours the classes for light and dark.
const ICON = `<svg xmlns="http://www.w3.org/2000/svg" width="16" viewBox="0 0 24 24">
<g class="jp-icon3" fill="#616161"><path d="M3 4h3v4H3zM3 10h3v4H3zM3 16h3v4H3z" opacity=".55"/><path d="M8 4h13v4H8zM8 16h13v4H8z"/></g>
<path class="jp-icon-brand0" fill="#1976d2" d="M8 10h13v4H8z"/></svg>`;

export function addCommands(app, lab, server, { palette, launch, restorer }) {
  const { commands } = app;
  const icon = new lab.ui.LabIcon({ name: "cell-gateway:sessions", svgstr: ICON });
  const current = () => server.sessionOf(app.shell.currentWidget?.context?.path);
  let tab = null;

  commands.addCommand("cell-gateway:sessions", {
    label: "Sessions",
    caption: "All sessions, running and past",
    icon,
    execute: () => {
      if (!tab || tab.isDisposed) {
        tab = sessionsTab(app, lab, server, icon);
        void tracker.add(tab);
      }
      if (!tab.isAttached) app.shell.add(tab, "main");
      app.shell.activateById(tab.id);
      return tab;
    },
  });
  commands.addCommand("cell-gateway:stop", {
    label: "Stop the Model",
    caption: "Stop the model's turn, and the cell that it runs",
    isEnabled: () => Boolean(current()),
    execute: async (args) => {
      const session = args.session ?? current();
      try {
        if (session) await server.call("POST", server.session(session, "interrupt"), {});
      } catch (error) {
        server.complain(error);
      }
    },
  });
  commands.addCommand("cell-gateway:export", {
    label: "Export Session…",
    caption: "Save the session's notebook in another form",
    isEnabled: () => Boolean(current()),
    execute: async () => {
      const session = current();
      if (!session) return;
      const names = Object.values(FORMATS);
      const { InputDialog } = lab.apputils;
      const { value } = await InputDialog.getItem({ title: `Export ${session} as`, items: names, okLabel: "Export" });
      const format = Object.keys(FORMATS)[names.indexOf(value)];
      if (format) download(`${server.session(session, "export")}?to=${format}`);
    },
  });

  const tracker = new lab.apputils.WidgetTracker({ namespace: "cell-gateway-sessions" });
  void restorer?.restore(tracker, { command: "cell-gateway:sessions", name: () => "sessions" });
  for (const command of ["cell-gateway:sessions", "cell-gateway:stop", "cell-gateway:export"]) {
    palette?.addItem({ command, category: "Cell Gateway" });
  }
  launch?.add({ command: "cell-gateway:sessions", category: "Other", rank: 0 });
}

function download(url) {
  const link = Object.assign(document.createElement("a"), { href: url, download: "" });
  document.body.append(link);
  link.click();
  link.remove();
}

function sessionsTab(app, lab, server, icon) {
  const content = new lab.ui.IFrame({ sandbox: ["allow-scripts", "allow-same-origin", "allow-downloads", "allow-popups", "allow-forms"] });
  content.url = server.url("cell-gateway");
  const frame = content.node.querySelector("iframe");
  frame.title = "Sessions";
  // The page follows the theme of Lab, not that of the desktop.
  const follow = () => { frame.style.colorScheme = document.body.dataset.jpThemeLight === "false" ? "dark" : "light"; };
  const watching = new MutationObserver(follow);
  watching.observe(document.body, { attributes: true, attributeFilter: ["data-jp-theme-light"] });
  content.disposed.connect(() => watching.disconnect());
  follow();
  frame.addEventListener("load", () => frame.contentDocument?.addEventListener("click", (event) => openHere(app, event), true));
  const tab = new lab.apputils.MainAreaWidget({ content });
  tab.id = "cell-gateway-sessions";
  tab.title.label = "Sessions";
  tab.title.icon = icon;
  tab.title.closable = true;
  return tab;
}

// "Open" of a card opens the notebook in this Lab, not another Lab in the tab.
function openHere(app, event) {
  const link = event.target.closest?.(".card a");
  const session = link?.closest(".card")?.dataset.id;
  if (!session || !link.matches(".thumb, h2 a, .actions > a")) return;
  event.preventDefault();
  event.stopPropagation();
  void app.commands.execute("docmanager:open", { path: `${session}/notebook.ipynb` });
}
