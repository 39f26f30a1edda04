"""What a user can choose: the table of settings, their file, and their window."""
