const { Session } = require("inspector"), { inspect } = require("util"), vm = require("vm");
const channel = new (require("net").Socket)({ fd: Number(process.argv.splice(1)[0]) });
const session = new Session(), folder = process.cwd(), filename = folder + "/cell";
session.connect();

// Stacks show the cell, its modules and packages: neither Node's own frames nor this file's.
Error.prepareStackTrace = (error, frames) => {
  const here = frames.findIndex(frame => frame.getFileName() === "[eval]");
  const shown = (here < 0 ? frames : frames.slice(0, here)).filter(frame => !frame.getFileName()?.startsWith("node:"));
  return [Error.prototype.toString.call(error), ...shown].join("\n    at ");
};

// Strings, comments and regular expressions stay; `import a, { b as c } from "d"`, `import(…)` and `import.meta` become uses of `__import`.
const parts = [
  /(?<=(?:^|[;\n])[ \t]*)import\b\s*(?:([\w$]+)\s*,?\s*)?(?:\*\s*as\s+([\w$]+)|(\{[^}]*\}))?\s*(?:\bfrom\s*)?("[^"\n]*"|'[^'\n]*')(?:\s*with\s*(\{[^}]*\}))?/,
  /"(?:\\[^]|[^"\\\n])*"|'(?:\\[^]|[^'\\\n])*'|`(?:\\[^]|[^`\\])*`|\/\/.*|\/\*[^]*?\*\//,
  /(?<=(?:^|[(,=:[!&|?{};\n]|\breturn)\s*)\/(?:\\.|\[(?:\\.|[^\]\\\n])*\]|[^/\\\n[])+\//,
  /(?<![\w$.])import(?=\s*[.(])/,
];
const rewrite = code => code.replace(new RegExp(parts.map(part => part.source).join("|"), "g"), (text, first, all, some, from, options) => {
  if (!from) return text === "import" ? "__import" : text;
  const module = `await __import(${from}${options ? `, { with: ${options} }` : ""})`;
  const names = [first && `{ default: ${first} }`, all, some?.replace(/\sas\s/g, ": ")].filter(Boolean);
  return (names.length ? "const " + names.map(name => `${name} = ${module}`).join(", ") : module) + ";";
});

function explain(error, line, column) {
  if (!(error instanceof Error)) return "Uncaught " + inspect(error);
  if (error instanceof SyntaxError && line && !error.stack.includes("\n    at ")) error.stack += `\n    at cell:${line}:${column}`;
  return inspect(error);
}

let reply, start;
const show = value => console.log(inspect(value));
const meta = { url: require("url").pathToFileURL(filename).href, filename, dirname: folder };
const tools = { meta, show, explain, start: () => start() };
Object.defineProperty(globalThis, "__import", { value: Object.assign((name, options) => import(name, options), tools) });

function call(tool, remote, done, ...more) {
  const argument = ({ objectId, unserializableValue, value }) => objectId ? { objectId } : unserializableValue ? { unserializableValue } : { value };
  session.post("Runtime.evaluate", { expression: "__import." + tool, objectGroup: "cell" }, (_, { result: { objectId } }) => {
    const functionDeclaration = "function (...values) { return this(...values) }", values = [remote, ...more.map(value => ({ value }))];
    session.post("Runtime.callFunctionOn", { functionDeclaration, objectId, arguments: values.map(argument), objectGroup: "cell" }, done);
  });
}
function fail({ exception, lineNumber, columnNumber }) {
  call("explain", exception, (_, { result }) => reply({ error: result.value ?? "an error that cannot be shown" }), lineNumber + 1, columnNumber + 1);
}
function run(code) {
  reply = outcome => {
    reply = () => {};
    session.post("Runtime.releaseObjectGroup", { objectGroup: "cell" });
    setImmediate(() => channel.write(JSON.stringify(outcome) + "\n"));
  };
  const expression = rewrite(code) + "\n//# sourceURL=cell", mine = reply;
  start = () => session.post("Runtime.evaluate", { expression, replMode: true, awaitPromise: true, objectGroup: "cell" }, (problem, outcome) => {
    if (problem || reply !== mine) return;
    const { result, exceptionDetails } = outcome;
    if (exceptionDetails) fail(exceptionDetails);
    else if (result.type === "undefined" || /^(Timeout|Immediate)$/.test(result.className)) reply({});
    else call("show", result, (_, shown) => shown.exceptionDetails ? fail(shown.exceptionDetails) : reply({}));
  });
  try {
    vm.runInThisContext("__import.start()", { breakOnSigint: true });
  } catch {
    reply({ interrupted: "" });
  }
}

process.on("SIGINT", () => reply?.({ interrupted: "What the cell awaited goes on in the background; %node_restart ends it." }));
for (const event of ["uncaughtException", "unhandledRejection"]) process.on(event, error => console.error(explain(error)));
let received = "";
channel.setEncoding("utf8").on("end", () => process.exit()).on("data", data => {
  received += data;
  if (!received.endsWith("\n")) return;
  const code = JSON.parse(received);
  received = "";
  run(code);
});
