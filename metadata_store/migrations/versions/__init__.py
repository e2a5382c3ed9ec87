"""Schema revisions. One that is out is never changed: a new file follows it."""
