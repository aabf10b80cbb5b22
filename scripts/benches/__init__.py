"""Benchmarks. Each module has `run() -> dict`; every comparison is a ratio of runs made side by side."""
