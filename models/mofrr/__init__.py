"""MoFRR's networks: router, experts, merger."""
