"""Networks: choices of a space made into plain PyTorch modules.

Import what you need from its file: `cell_network`, `counts`, `export`, `ops`.
"""
