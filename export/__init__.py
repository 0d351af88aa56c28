"""Page records to files: formats by name, and a cursor that survives a kill. May import `crawl`, no other room."""
