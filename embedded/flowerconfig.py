"""Flower's configuration file, executed by Flower: module variables are its options.

Read from the environment that `embedded.flower` has made complete. `/metrics` and `/healthcheck` stay open whatever
the login is, so the port belongs on 127.0.0.1.
"""

import os

address = os.environ["FLOWER_ADDRESS"]
port = int(os.environ["FLOWER_PORT"])
basic_auth = [f"{os.environ['FLOWER_USER']}:{os.environ['FLOWER_PASSWORD']}"]
#: Looking is enough: shutting workers down from a web page would fight the stack that restarts them.
read_only = True
#: Flower's own default, 100,000 tasks in memory, is the main complaint about it.
max_tasks = 5000
persistent = False
natural_time = True
#: Flower switches events on for every worker unless told not to.
enable_events = os.environ.get("CRAWL_EVENTS", "on").lower() != "off"
tasks_columns = "name,uuid,state,args,result,received,started,runtime,worker"
#: Flower warns four times at every start that no worker has answered yet.
logging = "error"
