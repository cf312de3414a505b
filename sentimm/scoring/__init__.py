"""Scoring: a corpus of posts and a bundle in, a Parquet of labels out; no torch anywhere below."""
