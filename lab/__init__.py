"""lab: the benchmark. The same crawl under each pool and pipeline, beside a peer, as numbers.

Owns the generated site, the sites of workloads, the load test of that site, the readings of processes and Redis, the trials and their table.
May import embedded, export, producer, worker, demo and crawl; only poolcrawl imports it.
"""
