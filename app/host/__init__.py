"""The place where Qt meets the engine: its thread, work beside the window's, and processes of their own."""
