"""The user's choices: the table of settings, their file, and their window."""
