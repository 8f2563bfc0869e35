"""Text as a Python literal: exact whatever it holds, and as readable as it can be."""

from __future__ import annotations

import re

# What a triple-quoted literal cannot show as it is: control characters, odd line ends, halves of characters.
_SPECIAL = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\xa0\xad\u200b-\u200f\u2028-\u202e\u2060-\u206f\ud800-\udfff\ufeff\ufff0-\uffff]"
)


def literal(text: str) -> str:
    """Source that evaluates to exactly ``text``: one line in quotes, or several in three quotes, raw where backslashes allow it."""
    if "\n" not in text:
        return _escaped(repr(text))
    if _SPECIAL.search(text) or '"""' in text or text.endswith('"') or (text.endswith("\\") and "\\" in text):
        return _in_three_quotes(text)
    return f'r"""{text}"""' if "\\" in text else f'"""{text}"""'


def _in_three_quotes(text: str) -> str:
    quoted = text.replace("\\", "\\\\").replace('"""', '\\"\\"\\"')
    if quoted.endswith('"'):
        quoted = quoted[:-1] + '\\"'
    return f'"""{_escaped(quoted)}"""'


def _escaped(source: str) -> str:
    return _SPECIAL.sub(lambda found: ascii(found[0])[1:-1], source)
