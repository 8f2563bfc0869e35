# pyright: basic, reportOptionalMemberAccess=false, reportCallIssue=false
# Set-up of this notebook: work in `workspace/` beside it, where INPUT_DIR and OUTPUT_DIR point; no colours, no paths in warnings.
def _cell_gateway():
    import linecache, os, re, sys, warnings  # noqa: E401, I001  # fmt: skip
    from pathlib import Path

    from IPython import get_ipython

    def format_warning(message, category, filename, lineno, line=None):
        line = linecache.getline(filename, lineno) if line is None else line
        # A cell's file is named after the kernel's process, a module's after where Python is installed.
        name = "cell" if re.search(r"ipykernel_\d+[/\\]\w+\.py$", filename) else filename
        places = [place for place in (*sys.path, shell.start_folder) if place]
        folders = [place for place in places if name.startswith(place.rstrip("/\\") + os.sep)]
        name = os.path.relpath(name, max(folders, key=len)) if folders else name
        return plain(message, category, name, lineno, line)

    shell, plain = get_ipython(), warnings.formatwarning
    if not hasattr(shell, "start_folder"):
        if Path.cwd() != Path("/workspace") and Path("workspace").is_dir():
            os.chdir("workspace")
        shell.start_folder = str(Path.cwd())
        for name in ("INPUT_DIR", "OUTPUT_DIR"):
            os.environ.setdefault(name, shell.start_folder)
        for name in ("FORCE_COLOR", "CLICOLOR", "CLICOLOR_FORCE"):
            os.environ.pop(name, None)
        os.environ["NO_COLOR"] = "1"
        warnings.formatwarning = format_warning
        shell.start_environment = dict(os.environ)
    os.chdir(shell.start_folder)


type(_cell_gateway)(_cell_gateway.__code__, {"__builtins__": __builtins__})()  # In a namespace of its own.
del _cell_gateway
