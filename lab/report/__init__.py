"""What a result of the lab looks like: charts, timelines, Chrome traces and an HTML page, from its JSON alone.

Nothing here measures or starts anything. A measure that is missing stays a gap in a picture and a dash in a table; what
is no result at all raises UsageError. Charts need matplotlib, which is imported when the first one is drawn.
"""
