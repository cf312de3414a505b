"""A bundle: the folder that `export` writes and `score` reads."""
