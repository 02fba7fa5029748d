"""How well networks do: conditions, metrics, thresholds, evaluations and their tables."""
