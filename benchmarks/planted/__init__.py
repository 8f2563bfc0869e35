"""Cells whose results are compared, and the changes that are planted into them."""

from . import chance, details, files, plots, tables, texts
from .notebooks import Notebook, Plant

NOTEBOOKS = [
    *plots.NOTEBOOKS,
    *tables.NOTEBOOKS,
    *texts.NOTEBOOKS,
    *files.NOTEBOOKS,
    *details.NOTEBOOKS,
    *chance.NOTEBOOKS,
]

__all__ = ["NOTEBOOKS", "Notebook", "Plant"]
