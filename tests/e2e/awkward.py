"""A turn with everything that makes a notebook hard to run again."""

from __future__ import annotations

from kernel_gateway.scripted_model import Block, text, tool_use

PROMPT = "do everything that is awkward"
BASH_STATE = """\
mkdir -p data && cd data
export CITY=Bern
river=Aare
greet() { echo "hello $1 from $CITY"; }
shopt -s expand_aliases
alias shout='echo LOUD'
set -o pipefail
printf 'b\\na\\n' > letters.txt"""
BASH_USE = """\
basename "$PWD"
greet "$river"
shout
sort letters.txt
false | true; echo "pipefail: $?\""""
BASH_FRESH = """\
echo "[$CITY][$river]"; basename "$PWD"; type greet 2>&1 | head -n 1; ls data"""
MODULE = '''"""Made by the editor."""\n\n\ndef area(width, height):\n    return width + height\n'''
PICTURE = """\
import matplotlib.pyplot as plt

plt.plot([1, 4, 9, 16])
plt.title("squares")
plt.show()"""
LATE = """\
import threading

go = threading.Event()

def later():
    go.wait()
    print("late")

thread = threading.Thread(target=later)
thread.start()
print("begun")"""
RICH = """\
import sys
import warnings
from IPython.display import HTML, display

print("to stderr", file=sys.stderr)
warnings.warn("careful")
display(HTML("<b>bold</b>"))
{"b": [1, 2], "a": None}"""
EDITOR = "str_replace_based_edit_tool"

_calls: tuple[tuple[str, str, dict[str, object]], ...] = (
    ("state", "python", {"code": "x = 41\nprint('x is', x)"}),
    ("bash_state", "bash", {"command": BASH_STATE}),
    ("bash_use", "bash", {"command": BASH_USE}),
    ("error", "python", {"code": "y = x + 1\n1 / 0"}),
    ("after_error", "python", {"code": "y"}),
    ("node_state", "node", {"code": "const answer = 42;\nlet list = [1, 2];\nfunction twice(n) { return 2 * n }"}),
    ("node_use", "node", {"code": "list.push(twice(answer));\nconsole.error('careful');\nlist"}),
    ("node_again", "node", {"code": "const answer = list.length;\nawait Promise.resolve({ answer })"}),
    ("loop", "python", {"code": "while True:\n    pass", "timeout": 1}),
    ("after_loop", "python", {"code": "print(x, y)"}),
    ("bash_after_loop", "bash", {"command": 'basename "$PWD"; greet "$river"'}),
    ("create", EDITOR, {"command": "create", "path": "/workspace/shapes.py", "file_text": MODULE}),
    (
        "edit",
        EDITOR,
        {"command": "str_replace", "path": "shapes.py", "old_str": "width + height", "new_str": "width * height"},
    ),
    ("insert", EDITOR, {"command": "insert", "path": "shapes.py", "insert_line": 1, "insert_text": "# by hand"}),
    ("view", EDITOR, {"command": "view", "path": "shapes.py"}),
    ("use_module", "python", {"code": "import shapes\nshapes.area(6, 7)"}),
    ("bash_fails", "bash", {"command": "echo before; ls nosuchfile; exit 3"}),
    ("bash_after_exit", "bash", {"command": 'basename "$PWD"; greet "$river"'}),
    ("dies", "python", {"code": "import os\nos._exit(3)"}),
    ("after_death", "python", {"code": "print('x' in globals())\nx = 7"}),
    ("bash_after_death", "bash", {"command": BASH_FRESH}),
    ("node_after_death", "node", {"code": "typeof answer"}),
    ("bash_again", "bash", {"command": "cd data; export CITY=Basel; greet() { echo again; }; greet"}),
    ("restart", "restart_kernel", {}),
    ("after_restart", "python", {"code": "import os\nprint('x' in globals(), os.path.basename(os.getcwd()))"}),
    ("bash_after_restart", "bash", {"command": BASH_FRESH}),
    ("node_after_restart", "node", {"code": "const answer = 1; answer"}),
    ("picture", "python", {"code": PICTURE}),
    ("rich", "python", {"code": RICH}),
    ("late", "python", {"code": LATE}),
    ("after_late", "python", {"code": "go.set()\nthread.join()\nprint('joined')"}),
    ("await", "python", {"code": "import asyncio\nawait asyncio.sleep(0)\nprint('awaited')"}),
)
IDS = tuple(f"toolu_{name}" for name, _, _ in _calls)


def replies() -> list[list[Block]]:
    calls = [tool_use(f"toolu_{name}", tool, **arguments) for name, tool, arguments in _calls]
    return [[text("All of it, one after another."), *calls], [text("That was everything.")]]
