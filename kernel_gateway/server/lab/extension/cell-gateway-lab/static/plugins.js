/* The plugins, with what they share: the connection that says "somebody is here", and how the server is asked for something. */
import { Attendance } from "./attendance.js";
import { Bars } from "./bars.js";
import { addCommands } from "./commands.js";
import { Questions } from "./questions.js";

export function makePlugins(lab) {
  const { apputils, launcher, application } = lab;
  return [
    {
      id: "cell-gateway-lab:plugin",
      description: "Questions of the network, the sessions page, and a bar in the notebook of a session.",
      autoStart: true,
      optional: [apputils.ICommandPalette, launcher.ILauncher, application.ILayoutRestorer],
      activate: (app, palette, launch, restorer) => {
        addStyle();
        const server = new Server(app, lab);
        const attendance = new Attendance(server);
        new Questions(attendance, server);
        app.docRegistry.addWidgetExtension("Notebook", new Bars(app, lab, attendance, server));
        addCommands(app, lab, server, { palette, launch, restorer });
        attendance.open();
      },
    },
  ];
}

function addStyle() {
  const link = document.createElement("link");
  link.rel = "stylesheet";
  link.href = new URL("./style.css", import.meta.url).href;
  document.head.append(link);
}

/* The server's routes, asked as Lab asks its own: with its token, or its cookie and the check against other sites' forms. */
export class Server {
  constructor(app, { coreutils, services, apputils }) {
    this.settings = app.serviceManager.serverSettings;
    this.contents = app.serviceManager.contents;
    this.join = coreutils.URLExt.join;
    this.connection = services.ServerConnection;
    this.notification = apputils.Notification;
  }

  url(...parts) {
    return this.join(this.settings.baseUrl, ...parts.map((part) => part.split("/").map(encodeURIComponent).join("/")));
  }

  session(id, ...parts) {
    return this.url("api/gateway/sessions", id, ...parts);
  }

  async call(method, url, body) {
    const init = { method, ...(body === undefined ? {} : { body: JSON.stringify(body) }) };
    const answer = await this.connection.makeRequest(url, init, this.settings);
    const found = await answer.json();
    if (!answer.ok) throw new Error(`${found.error?.message ?? answer.statusText} ${found.error?.next ?? ""}`.trim());
    return found;
  }

  // The session whose notebook a path names, else null.
  sessionOf(path) {
    const parts = this.contents.localPath(path ?? "").split("/").filter(Boolean);
    return parts.length === 2 && parts[1] === "notebook.ipynb" ? parts[0] : null;
  }

  complain(error) {
    this.notification.error(String(error.message ?? error), { autoClose: 8000 });
  }
}
