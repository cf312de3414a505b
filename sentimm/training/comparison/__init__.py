"""The comparison of models: the `compare` command."""
