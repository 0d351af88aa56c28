"""The whole stack on one machine without Docker: a private Valkey, workers, Flower and the demo site as child processes.

May import `crawl`, `producer`, `worker`, `export` and `demo`; only `lab` and `poolcrawl` import it.
"""
