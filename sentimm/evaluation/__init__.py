"""Evaluation: a model's answers to labelled posts, compared with their labels."""
