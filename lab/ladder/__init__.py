"""lab.ladder: every way to crawl ten slow pages, from one after the other to Celery; one short file each, to be read.

Each rung is a module with one function `run(pages, slots)` and runs in a fresh process. All of them read the same
pages from a server of their own (`server`), parse them by the same function (`pages`) and must agree on one digest.
Nothing is imported here: a rung that patches the standard library has to come first.
"""
