"""From chunks of posts to their scores."""
