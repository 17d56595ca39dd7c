"""The window: canvas, panels, dialogs and bars. It shows and forwards, and decides nothing."""
