# pyright: basic
# ruff: noqa
# A notebook of Cell Gateway as a script: run it with `python3 FILE`, beside the folder `workspace` when it reads files.
# It needs Python 3.10 or newer and the packages that its cells import; IPython is not needed.
import asyncio, ast, contextlib, os, re, subprocess, sys, traceback, types  # fmt: skip


class Cells:
    """What cells have in a notebook beside Python: magics, shell lines, await, and errors that end one cell alone."""

    def __init__(self):
        self.magics_manager = types.SimpleNamespace(magics={"line": {}, "cell": {"bash": self.plain_bash}})
        self.loop = asyncio.new_event_loop()

    def setup(self, source):
        """A cell that sets up the folder, bash or node: it finds this in place of IPython's shell."""
        before, stand_in = sys.modules.get("IPython"), types.ModuleType("IPython")
        setattr(stand_in, "get_ipython", lambda: self)
        sys.modules["IPython"] = stand_in
        try:
            exec(compile(source, "setup", "exec"), {"__name__": "__main__", "__builtins__": __builtins__})
        finally:
            sys.modules.pop("IPython")
            if before is not None:
                sys.modules["IPython"] = before

    def register_magic_function(self, function, kind, name):
        self.magics_manager.magics[kind][name] = function

    def find_cell_magic(self, name):
        return self.magics_manager.magics["cell"].get(name)

    def run_line_magic(self, name, line):
        self.magics_manager.magics["line"][name](line)

    def plain_bash(self, line, source):
        sys.stdout.flush()
        subprocess.run(["bash", *line.split()], input=source, text=True, check=True)

    def magic(self, name, line, source):
        found = self.find_cell_magic(name)
        if found is None and name in ("sh", "python", "python3", "perl", "ruby"):
            found = lambda line, source: subprocess.run([name, *line.split()], input=source, text=True, check=True)
        if found is None:
            print(f"%%{name} is not to be had in a script; the cell is passed over.", file=sys.stderr)
        else:
            sys.stdout.flush()
            found(line, source)

    def line(self, name, line, names):
        if name in ("pip", "conda"):
            self.system(f"{sys.executable} -m pip {line}" if name == "pip" else f"conda {line}", names)
        elif name == "cd":
            os.chdir(os.path.expanduser(line.strip("'\"") or "~"))
        elif name == "env" and "=" in line:
            key, _, value = line.partition("=")
            os.environ[key.strip()] = value.strip()
        elif name in self.magics_manager.magics["line"]:
            self.run_line_magic(name, line)

    def command(self, line, names):
        def value(found):
            try:
                return str(eval(found[1] or found[2], names))
            except Exception:
                return found[0]

        return re.sub(r"\{([^{}]+)\}|(?<!\$)\$([A-Za-z_]\w*)", value, line)

    def system(self, line, names):
        sys.stdout.flush()
        subprocess.run(self.command(line, names), shell=True)

    def output(self, line, names):
        found = subprocess.run(self.command(line, names), shell=True, text=True, stdout=subprocess.PIPE).stdout
        return found.splitlines()

    def write(self, path, source, append=False):
        with open(os.path.expanduser(path.strip("'\"")), "a" if append else "w", encoding="utf-8") as file:
            file.write(source)

    def run(self, source, names, number):
        code = compile(source, f"<cell {number}>", "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, dont_inherit=True)
        result = eval(code, names)
        if asyncio.iscoroutine(result):
            self.loop.run_until_complete(result)

    def may_raise(self, source, names, number):
        try:
            self.run(source, names, number)
        except Exception:
            sys.stdout.flush()
            traceback.print_exc()

    def restart(self, names):
        for name in ("bash_restart", "node_restart"):
            if name in self.magics_manager.magics["line"]:
                self.run_line_magic(name, "")
        if folder := getattr(self, "start_folder", None):
            os.chdir(folder)
            os.environ.clear()
            os.environ.update(getattr(self, "start_environment"))
        for name in [n for n in names if not n.startswith("__") and n not in ("Cells", "cells", "show", "display")]:
            del names[name]


def show(value):
    if value is not None:
        print(value if hasattr(value, "to_string") else repr(value))


def display(*values, **_):
    for value in values:
        show(value)


cells = Cells()
