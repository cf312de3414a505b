"""Labelled posts, from tables to batches of tensors."""
