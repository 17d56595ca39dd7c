"""The panels beside the canvas; each reads the session and knows no other panel."""
