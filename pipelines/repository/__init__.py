"""How a pipeline becomes a folder that loads anywhere, and a folder becomes a pipeline."""
