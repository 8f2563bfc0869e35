# pyright: basic, reportOptionalMemberAccess=false, reportUndefinedVariable=false
# Restart: names, bash, node, folder and environment begin afresh. (Without Cell Gateway, imported modules stay as they are.)
import os

shell = get_ipython()  # noqa: F821
for name in ("bash_restart", "node_restart"):
    if name in shell.magics_manager.magics["line"]:
        shell.run_line_magic(name, "")
if hasattr(shell, "start_folder"):
    os.chdir(shell.start_folder)
    os.environ.clear()
    os.environ.update(shell.start_environment)
shell.reset(new_session=False)
