"""From trained networks to a folder for others: assembly, cards."""
