"""Other precisions of a graph, int8 above all: made with fixed scales, measured at the export, and mended."""
