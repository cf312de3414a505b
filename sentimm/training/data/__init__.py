"""Labelled posts, as batches of tensors."""
