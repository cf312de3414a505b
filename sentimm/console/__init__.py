"""All that rich draws: events become progress, results become tables and summaries."""
