"""Scores models against expert masks, and judges how well they know their errors."""
