"""The server: Jupyter's own, with sessions in it."""
