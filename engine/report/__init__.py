"""Measures a model and writes one page about it: scores, uncertainty, calibration, settings.

`measuring` is the stream, `page` and `content` are its two faces, HTML and JSON.
"""
