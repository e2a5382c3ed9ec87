"""What metanas remembers: tasks, and the trials made on them.

Knows nothing of networks or searches, so a store can be read anywhere.
"""
