"""The only room that sends fetch tasks: seeds, the pump (lease what is due, send it), the reaper, progress.

May import `crawl`, no other room.
"""
