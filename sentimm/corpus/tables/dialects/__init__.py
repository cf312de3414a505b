"""How programs write CSV and TSV files that the standard (RFC 4180) does not explain."""
