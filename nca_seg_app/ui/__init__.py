"""The window: canvas, panels, dialogs, bars; it shows and forwards."""
