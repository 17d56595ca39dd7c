"""What is open and how it is shown: workspace, document, settings and view; has no threads."""
