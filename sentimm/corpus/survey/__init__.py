"""The quick first pass over a corpus."""
