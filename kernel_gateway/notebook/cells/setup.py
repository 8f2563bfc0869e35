# pyright: basic, reportOptionalMemberAccess=false
# Set-up of this notebook: work in `workspace/` beside it, where INPUT_DIR and OUTPUT_DIR point, and print without colours.
def _cell_gateway():
    import os
    from pathlib import Path

    from IPython import get_ipython

    shell = get_ipython()
    if not hasattr(shell, "start_folder"):
        if Path.cwd() != Path("/workspace") and Path("workspace").is_dir():
            os.chdir("workspace")
        shell.start_folder = str(Path.cwd())
        for name in ("INPUT_DIR", "OUTPUT_DIR"):
            os.environ.setdefault(name, shell.start_folder)
        for name in ("FORCE_COLOR", "CLICOLOR", "CLICOLOR_FORCE"):
            os.environ.pop(name, None)
        os.environ["NO_COLOR"] = "1"
        shell.start_environment = dict(os.environ)
    os.chdir(shell.start_folder)


_cell_gateway()
del _cell_gateway
