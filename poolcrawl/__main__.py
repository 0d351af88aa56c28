"""`python -m poolcrawl` is the `poolcrawl` command."""

from poolcrawl.entry import main

main()
