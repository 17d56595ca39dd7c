"""Studies (folders under annotation), data sets, exports and results on disk."""
