"""The folder of a job: what makes a job resumable."""
