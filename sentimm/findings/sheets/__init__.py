"""Labelling sheets, as spreadsheets and the labelling tools write and read them."""
