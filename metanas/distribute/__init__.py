"""Searches by many workers: processes of this machine, or tasks of a Ray cluster.

Workers share a study and a store, and get settings and URLs, never live objects.
"""
