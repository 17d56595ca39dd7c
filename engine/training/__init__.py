"""Training and fine-tuning: batches, losses, optimizers, the loop and its files."""
