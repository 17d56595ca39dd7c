"""Checks, benchmark and training for a quarter of an hour on a GPU; docs/gpu.md says how to run."""
