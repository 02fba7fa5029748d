"""Networks of MoFRR: one network, one file."""
