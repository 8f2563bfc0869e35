"""JupyterLab in the server that `cell-gateway lab` starts: live notebooks of sessions, and nothing that leaves them."""
