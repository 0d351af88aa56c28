"""The whole stack on one machine without Docker: a private Valkey, workers, Flower, the demo site; all child processes.

Owns the state directory (`state`), who lives in it (`processes`, `leftovers`) and how children end whatever happens to
their parent (`keeper`). `flower` is also what the containers run.
May import `crawl`, `producer`, `worker`, `export` and `demo`; only `lab` and `poolcrawl` import it.
"""
