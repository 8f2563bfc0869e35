from __future__ import annotations

import ast
from types import SimpleNamespace

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from IPython.core.inputtransformer2 import TransformerManager

from kernel_gateway.tools.literal import literal, magic_cell

# Characters that literals, line ends and IPython treat in ways of their own, more often than chance has them.
AWKWARD = st.text(st.sampled_from("ab \n\r\t\\\"'{}%!?$#>.\0\x0c\x1b\x85\xa0\u2028\ud800\udc80\ufeff😀é"))
LINES = st.lists(
    st.sampled_from(["", " ", "\t ", ">>>", " >>> a", "... b", "  ...", "In [1]: c", "d", "\u3000", "'''", '"""'])
).map("\n".join)
ANY_TEXT = st.one_of(LINES, st.text(st.characters()), st.text(st.characters(categories=["Cs", "Cc", "Ll"])), AWKWARD)


@given(ANY_TEXT)
@example('"""')
@example('\n"')
@example("\n\\")
@example('\n\\"""\\')
@example("\n%%bash\n!ls\n?x\n%time")
@example('a""""')
@example(">>> a\n \n\t\n... b\n>>> c")
def test_a_literal_is_exactly_the_text_also_after_ipython(text: str):
    assert ast.literal_eval(literal(text)) == text
    transformed = TransformerManager().transform_cell(
        f"def f(text): return text\n\ntry:\n    x = f({literal(text)})\nfinally:\n    pass"
    )
    namespace: dict[str, object] = {}
    exec(compile(transformed, "cell", "exec"), namespace)
    assert namespace["x"] == text


@given(ANY_TEXT.filter(str.strip))
def test_a_magic_gets_its_text_whatever_ipython_strips(text: str):
    transformed = TransformerManager().transform_cell(magic_cell("bash", text))
    got: list[str] = []
    shell = SimpleNamespace(run_cell_magic=lambda name, line, cell: got.append(cell))
    exec(compile(transformed, "cell", "exec"), {"get_ipython": lambda: shell})
    # Lines of white space may come out empty.
    assert [line.rstrip() for line in got[0].split("\n")][: text.count("\n") + 1] == [
        line.rstrip() for line in text.split("\n")
    ]


@given(ANY_TEXT)
def test_a_literal_has_no_character_that_cannot_be_sent_or_is_a_line_end_of_another_kind(text: str):
    source = literal(text)
    source.encode("utf-8")
    assert source.count("\n") == len(source.splitlines()) - 1


@pytest.mark.parametrize(
    ("text", "source"),
    [
        ("one", "'one'"),
        ("it's", '"it\'s"'),
        ("one\ntwo\n", '"""one\ntwo\n"""'),
        ("a\\d\n'''", 'r"""a\\d\n\'\'\'"""'),
        ('say "x"\n"', '"""say "x"\n\\""""'),
        ("tab\t\n\x1b", '"""tab\t\n\\x1b"""'),
    ],
)
def test_a_literal_is_readable_where_it_can_be(text: str, source: str):
    assert literal(text) == source
