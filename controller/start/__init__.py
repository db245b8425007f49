"""From Pending to Running: what an execution needs before it may begin, and its beginning."""
