"""A model's whole record on one page: what it scores, what its doubt is worth, what it costs.

`measuring` is the stream, `page` and `content` are its two faces, HTML and JSON.
"""
