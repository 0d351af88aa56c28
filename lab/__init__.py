"""lab: which pool, measured. The same crawl in different ways on the same site, with proof that the work was equal.

From question to answer:

- `command` (options), `showing` (what they ask for), `plan` (which ways crawl which workloads);
- `workload`, `pages`, `origin`, `replay` (what is crawled), `way`, `rig`, `probe` (how, and with which worker);
- `grid`, `journal`, `running` (trials in rounds, kept), `readings`, `measure`, `counters`, `trial` (what they came to),
  `lanes` (what each slot did), `guarantees` (what a pool keeps);
- `advice`, `reason`, `forecast`, `proof` (what to choose, why, and whether that is right);
- `schema`, `results`, `report`, `markdown`, `sheet`, `files`, `comparison` (what is written, and read again).

`features` and `costs` say what each feature of a crawl costs. `ladder` is the tutorial's ways on ten pages.
`bench`, `site`, `peer`, `memory`, `marks` compare pipelines, and Scrapy.

May import embedded, export, producer, worker, demo and crawl; only poolcrawl imports it.
"""
