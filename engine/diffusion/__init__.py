"""The diffusion process, its random numbers, and the ensemble that it draws."""
