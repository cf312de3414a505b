"""What a person sees, and all that rich draws: events become progress, tables and summaries."""
