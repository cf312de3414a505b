"""Excel workbooks, read through fastexcel (the extra `excel`)."""
