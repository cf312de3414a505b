"""JSON: one object a line, or one document that holds them all."""
