"""Text in the source of a cell: exact whatever it holds, and as readable as it can be.

IPython changes a cell before it runs it: pasted prompts (``>>>``) are stripped from any line, and lines of white space are emptied
(IPython 9, `inputtransformer2`), inside of strings and of ``%%`` cells too.
"""

from __future__ import annotations

import re

# What a triple-quoted literal cannot show as it is: control characters, odd line ends, halves of characters.
_SPECIAL = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\xa0\xad\u200b-\u200f\u2028-\u202e\u2060-\u206f\ud800-\udfff\ufeff\ufff0-\uffff]"
)
# The characters to escape so that IPython leaves a line alone: the first of a line of white space, and that of a prompt.
_EMPTIED = re.compile(r"^[^\S\n](?=[^\S\n]*$)", re.MULTILINE)
_PROMPT = re.compile(r"^[^\S\n]*>>>", re.MULTILINE)
_FIRST_PROMPT = re.compile(r"\s*(\.\.\.|(\[\w+\] ?)?In )")


def literal(text: str) -> str:
    """Source that evaluates to exactly ``text``: one line in quotes, or several in three quotes, raw where backslashes allow it."""
    if "\n" not in text:
        return _escaped(repr(text))
    if _SPECIAL.search(text) or '"""' in text or text.endswith(('"', "\\")) or is_changed(text):
        return _in_three_quotes(text)
    return f'r"""{text}"""' if "\\" in text else f'"""{text}"""'


def is_changed(text: str) -> bool:
    """Whether IPython would strip something from lines of ``text`` in a cell."""
    return bool(_EMPTIED.search(text) or _PROMPT.search(text))


def magic_cell(name: str, body: str) -> str:
    """A cell that gives ``body`` to a cell magic: ``%%name`` and the text, or a call of it where IPython would strip prompts from that."""
    if _PROMPT.search(body) or _FIRST_PROMPT.match(body):
        # Over several lines: a prompt in the second line of a cell would be stripped from all of them.
        return f'get_ipython().run_cell_magic(\n    "{name}",\n    "",\n    {literal(body)},\n)'
    return f"%%{name}\n{body}"


def _in_three_quotes(text: str) -> str:
    body = text.rstrip('"')
    quoted = body.replace("\\", "\\\\").replace('"""', '\\"\\"\\"') + '\\"' * (len(text) - len(body))
    quoted = _EMPTIED.sub(_escape, quoted)
    quoted = _PROMPT.sub(lambda found: found[0][:-3] + "\\x3e>>", quoted)
    return f'"""{_escaped(quoted)}"""'


def _escaped(source: str) -> str:
    return _SPECIAL.sub(_escape, source)


def _escape(found: re.Match[str]) -> str:
    escaped = ascii(found[0])[1:-1]
    return f"\\x{ord(escaped):02x}" if len(escaped) == 1 else escaped
