"""Bundles of published classifiers: their labels, texts and images as ours, exported like our own models."""
