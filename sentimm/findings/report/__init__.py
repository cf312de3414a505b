"""The page that `sentimm report` writes: hand-written HTML and SVG, without a script, with nothing from a network."""
