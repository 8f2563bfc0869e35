"""Cells whose results are compared, and the changes that are planted into them."""

from . import chance, details, files, held_out, plots, tables, texts, versions
from .notebooks import Notebook, Plant

NOTEBOOKS = [
    *plots.NOTEBOOKS,
    *tables.NOTEBOOKS,
    *texts.NOTEBOOKS,
    *files.NOTEBOOKS,
    *details.NOTEBOOKS,
    *versions.NOTEBOOKS,
    *held_out.NOTEBOOKS,
    *chance.NOTEBOOKS,
]

__all__ = ["NOTEBOOKS", "Notebook", "Plant"]
