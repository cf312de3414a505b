"""What the `bench` command measures."""
