"""From the INPUTs of a command to the files that are read."""
