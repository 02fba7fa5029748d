"""The retouch simulator: operator bank, recipes, ground truth."""
