"""Masks: pure edits, region growing, outlines, measurements, and mask files."""
