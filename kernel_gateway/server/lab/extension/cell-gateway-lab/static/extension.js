/* The container by which JupyterLab loads this extension: two functions in `window._JUPYTERLAB`, written by hand in place of what
 * a bundler would make. Lab calls `init` with the packages that it shares, then `get` for the module that package.json names.
 */
"use strict";
(() => {
  // Relative addresses in a script that is no module are those of the page.
  const here = document.currentScript.src;
  let scope;

  // Lab's own copy of a package: the one in use, else the newest.
  async function shared(name) {
    const versions = Object.entries(scope[name] ?? {});
    if (!versions.length) throw new Error(`JupyterLab shares no ${name}.`);
    const numbers = (text) => text.split(/[.-]/).map((part) => Number(part) || 0);
    const newer = (a, b) => {
      for (const [i, part] of numbers(a).entries()) if (part !== (numbers(b)[i] ?? 0)) return part - (numbers(b)[i] ?? 0);
      return 0;
    };
    versions.sort(([a, one], [b, other]) => Boolean(other.loaded) - Boolean(one.loaded) || newer(b, a));
    const [, found] = versions[0];
    found.loaded = 1;
    return (await found.get())();
  }

  const packages = {
    application: "@jupyterlab/application",
    apputils: "@jupyterlab/apputils",
    coreutils: "@jupyterlab/coreutils",
    launcher: "@jupyterlab/launcher",
    services: "@jupyterlab/services",
    ui: "@jupyterlab/ui-components",
    widgets: "@lumino/widgets",
  };

  async function plugins() {
    const { makePlugins } = await import(new URL("plugins.js", here).href);
    const names = Object.keys(packages);
    const found = await Promise.all(names.map((name) => shared(packages[name])));
    return makePlugins(Object.fromEntries(names.map((name, i) => [name, found[i]])));
  }

  window._JUPYTERLAB = window._JUPYTERLAB ?? {};
  window._JUPYTERLAB["cell-gateway-lab"] = {
    init(shareScope) { scope = shareScope; },
    async get(module) {
      if (module !== "./extension") throw new Error(`There is no ${module} in cell-gateway-lab.`);
      const found = await plugins();
      return () => ({ __esModule: true, default: found });
    },
  };
})();
