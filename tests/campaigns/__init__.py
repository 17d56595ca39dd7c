"""What a person's work must survive, tried at length by `make campaign`; no part of the tests."""
