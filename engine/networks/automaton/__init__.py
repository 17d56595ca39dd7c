"""The neural cellular automaton of the paper: its cell, its levels and its fast forms."""
