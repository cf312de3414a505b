"""How other programs write texts and tables, found out by what the files hold."""
