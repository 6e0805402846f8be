"""Speed and sweeps, each side by side with the obvious way; run as `python -m benchmarks.NAME`."""
