"""Neural architecture search that remembers: transfer and meta-learning over a store of trials."""

__version__ = "0.1.0"
