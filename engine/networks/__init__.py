"""Networks by name, their files, and the devices they run on."""
