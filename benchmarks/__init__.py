"""Benchmarks: what claims of speed and memory rest on; each prints ratios of one run."""
