"""The benchmark of `sentimm bench`."""
