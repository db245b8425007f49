"""An API server in memory, and a controller that runs on it: whole runs in fast tests.

What an API server decides in truth (defaulting, admission, field ownership, schemas) it does not: that is tested on a
real one.
"""
