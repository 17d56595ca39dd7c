"""Compares methods on the same work: trained alike, asked alike, measured on the same images.

`methods` says what a name stands for, `runs` trains, `results` measures, `tables` and `pictures`
show what came of it, `document` puts that into a page. All that is known lies in a folder for each
method and seed, so that what was done is not done again.
"""
