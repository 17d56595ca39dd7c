"""Training and fine-tuning: batches, augmentation, losses, optimizers, the loop and its files."""
