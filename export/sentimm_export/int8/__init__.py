"""What int8 graphs lose and gain, measured at the export, and the mending of those that lose too much."""
