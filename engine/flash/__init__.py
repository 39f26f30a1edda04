"""How bytes come from flash: bundle file, native reader, streaming of whole layers (paper, sections 3.1 and 3.2)."""
