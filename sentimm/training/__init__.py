"""Training: labelled tables in, a run folder out."""
