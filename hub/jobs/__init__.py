"""Work that is asked for now and fetched later: single runs and batches of pictures, kept until they are done.

Own code over the hub's SQLite, not huey (3.5 on its SqliteStorage was weighed): huey takes a task out of its table when
a worker begins it, so a kill -9 loses it; it knows priorities but no turns by caller, no place in the queue and no
progress, and a task that has begun is not cancelled. All of that would have been written around it, with a table of its
own.
"""
