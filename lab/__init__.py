"""lab: the benchmark. The same crawl under each pool and pipeline, beside a peer, as numbers.

Owns the generated site and the sites of workloads, their load test, the readings of processes and Redis, the trials and
their table.
May import embedded, export, producer, worker, demo and crawl; only poolcrawl imports it.
"""
