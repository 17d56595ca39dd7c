"""Reads image files as upright 8-bit sRGB, and tells which files are images."""
