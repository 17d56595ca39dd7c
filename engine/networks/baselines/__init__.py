"""Plain segmentation networks to hold the others against, built by MONAI."""
