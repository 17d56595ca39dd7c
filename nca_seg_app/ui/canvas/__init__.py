"""The canvas: what is shown of the open image, and what the hand draws on it."""
