"""What scoring writes: columns, Parquet files and the list of problems."""
