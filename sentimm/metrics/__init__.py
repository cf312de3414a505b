"""Metrics of answers to labelled posts: arrays in, numbers out."""
