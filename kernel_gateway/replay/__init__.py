"""Replaying a notebook and comparing what comes of it with what was recorded."""
