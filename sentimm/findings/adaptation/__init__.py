"""A model adapted to a corpus by the labels of a sheet: a correction of its answers, in a bundle of its own."""
