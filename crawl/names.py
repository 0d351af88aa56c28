"""Names that processes agree on: tasks, queues, pipelines, states."""

from __future__ import annotations

#: Celery task that requests one leased batch of URLs.
FETCH_TASK = "crawl.fetch"
#: Celery task that parses a fetched batch; sent by Celery as the callback of `FETCH_TASK`.
PARSE_TASK = "crawl.parse"

FETCH_QUEUE = "fetch"
PARSE_QUEUE = "parse"
#: Every queue a worker may serve, in the order of `CRAWL_QUEUES`.
QUEUES = (FETCH_QUEUE, PARSE_QUEUE)

#: fetch and parse are two messages, the second is the first one's callback.
PIPELINE_CALLBACK = "callback"
#: parse runs inside the fetch task: half the messages, but it holds a fetch slot.
PIPELINE_FUSED = "fused"
PIPELINES = (PIPELINE_CALLBACK, PIPELINE_FUSED)

#: States of a crawl.
RUNNING = "running"
PAUSED = "paused"
CANCELLED = "cancelled"
FINISHED = "finished"
#: What is left of a crawl while its keys are being removed.
DELETED = "deleted"
#: States of a crawl that was ended by a person; there is no way back.
OVER = (CANCELLED, DELETED)
#: Who paused a crawl, when a person did (`paused_by`).
BY_USER = "user"

#: Kinds of a request.
PAGE = "page"
ROBOTS = "robots"

#: How a URL came to be admitted.
SEED = "seed"
LINK = "link"
REDIRECT = "redirect"
SITEMAP = "sitemap"
