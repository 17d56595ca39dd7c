"""MedSegDiff-V2 and its family: diffusion U-Nets that are conditioned on the image."""
