"""What panels, dialogs and bars are made of; shared, and without knowledge of any panel."""
