"""Conversations: trees of messages, their store, and keeping them saved. Without widgets."""
