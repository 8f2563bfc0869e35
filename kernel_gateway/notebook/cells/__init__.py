"""The source text of the cells that set a notebook up. Read as text by `..setup`, never imported."""
