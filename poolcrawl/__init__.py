"""poolcrawl: version and command line; the only package that imports every room."""

__version__ = "0.1.0"
