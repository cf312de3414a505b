"""Steps and epochs: how a model learns."""
