"""`python -m poolcrawl` is the `poolcrawl` command."""

from poolcrawl.cli import main

main()
