"""The vectors by which the model knows texts and images, as a table."""
