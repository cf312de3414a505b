"""The commands that make findings of scores and labels."""
