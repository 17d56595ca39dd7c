"""Benchmarks: both sides in one run, and a ratio; nothing here is a test."""
