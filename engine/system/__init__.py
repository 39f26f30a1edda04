"""Questions to the operating system: memory, files, folders, staying awake, the native library."""
