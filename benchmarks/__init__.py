"""Ours beside a bare kernel, nbclient and jupyter_kernel_gateway, in one table: ``python -m benchmarks``. See docs/performance.md."""
