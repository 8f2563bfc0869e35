"""When two numbers, or two texts with numbers in them, are the same but for rounding."""

from __future__ import annotations

import decimal
import math
import re
from typing import Any

from .model import Options, Verdict

# Unsigned: a changed sign is a changed text.
NUMBER = re.compile(r"((?:\d{1,3}(?:,\d{3})+(?!\d)|\d+)(?:\.\d*)?(?:[eE][-+]?\d+)?|\.\d+(?:[eE][-+]?\d+)?)")
_LONGEST = 400
_CONTEXT = decimal.Context(prec=60, Emax=999_999, Emin=-999_999, traps=[])


def compare_written(before: str, after: str, options: Options) -> Verdict:
    """Two numbers as they are written: same, close or differs. Whole numbers have no tolerance, nor has the way a number is written."""
    if before == after:
        return "same"
    if _is_whole(before) or _is_whole(after) or max(len(before), len(after)) > _LONGEST:
        return "differs"
    if max(_digits(before), _digits(after)) < options.digits:
        return "differs"
    a, b = (_CONTEXT.create_decimal(t.replace(",", "")) for t in (before, after))
    if not (a.is_finite() and b.is_finite()):
        return "differs"
    off = _CONTEXT.abs(_CONTEXT.subtract(a, b))
    if off == 0:
        return "differs"
    bound = _CONTEXT.multiply(_CONTEXT.create_decimal(options.relative), _CONTEXT.max_mag(a, b).copy_abs())
    return "close" if off <= bound else "differs"


def _is_whole(written: str) -> bool:
    return not any(c in written for c in ".eE")


def _digits(written: str) -> int:
    mantissa = re.split("[eE]", written)[0]
    return len(mantissa.replace(".", "").replace(",", "").lstrip("0"))


def compare_words(before: str, after: str, options: Options) -> Verdict:
    """Two short texts: close when they differ in numbers within tolerance, and in the spaces that line these up."""
    if before == after:
        return "same"
    a, b = NUMBER.split(before), NUMBER.split(after)
    if len(a) != len(b) or [" ".join(w.split()) for w in a[::2]] != [" ".join(w.split()) for w in b[::2]]:
        return "differs"
    verdicts = {compare_written(x, y, options) for x, y in zip(a[1::2], b[1::2], strict=False)}
    return "close" if "close" in verdicts and "differs" not in verdicts else "differs"


def compare_values(before: Any, after: Any, options: Options) -> Verdict:
    """Two values out of JSON, a workbook or a database. A whole number and a fraction of one value differ: their type does."""
    if type(before) is not type(after):
        return "differs"
    if isinstance(before, float):
        return _compare_floats(before, after, options)
    if isinstance(before, str):
        return compare_words(before, after, options)
    return "same" if before == after else "differs"


def _compare_floats(before: float, after: float, options: Options) -> Verdict:
    if before == after or (math.isnan(before) and math.isnan(after)):
        return "same"
    if not (math.isfinite(before) and math.isfinite(after)) or (before < 0) != (after < 0):
        return "differs"
    return compare_written(repr(abs(before)), repr(abs(after)), options)
