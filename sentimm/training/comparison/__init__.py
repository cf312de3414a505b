"""What the `compare` command does."""
