"""What can be done, one file a verb; each is told its context and announces by signal."""
