"""Bytes from flash: the reader, native or in Python, and the drive's profile (paper, section 3.1)."""
