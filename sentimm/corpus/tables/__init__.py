"""Tables of posts, one file for each format, all of which give blocks of rows."""
