"""How bytes come from flash: the bundle file, the native reader, and streaming of whole layers (paper, section 3.1-3.2)."""
