"""Arrays in, numbers out: figures of labelled answers."""
