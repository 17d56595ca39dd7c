"""Long and short work off the main thread."""
