"""Programs that run in the environments of the peers: one JSON line a request, one JSON line an answer. They import nothing of ours."""
