"""Evaluation: arrays in, numbers out."""
