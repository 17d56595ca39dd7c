"""The neural cellular automaton: one cell, one or two levels of cells."""
