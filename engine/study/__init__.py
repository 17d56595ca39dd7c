"""Folders under annotation, and the data sets that are made of them."""
