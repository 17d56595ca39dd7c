"""The diffusion process: schedule, sampling, random numbers, ensembles and their fusion."""
