"""What `score` prints: progress, the survey and the summary."""
