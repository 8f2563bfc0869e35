"""Cells whose results are compared, and the changes that are planted into them."""

from . import chance, files, plots, tables, texts
from .notebooks import Notebook, Plant

NOTEBOOKS = [*plots.NOTEBOOKS, *tables.NOTEBOOKS, *texts.NOTEBOOKS, *files.NOTEBOOKS, *chance.NOTEBOOKS]

__all__ = ["NOTEBOOKS", "Notebook", "Plant"]
