"""The application: a window around the engine. Imports the engine; nothing imports it."""
