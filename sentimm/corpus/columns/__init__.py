"""Which columns of a corpus hold the text, the images and the id of a post."""
