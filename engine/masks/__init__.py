"""Masks as files and as values: edits, region growing, measurements."""
