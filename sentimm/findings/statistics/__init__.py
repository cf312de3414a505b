"""Survey statistics: arrays in, numbers out."""
