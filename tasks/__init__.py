"""Datasets as tasks: loading, splitting, characterising and comparing them."""
