"""BPFRe's networks: the retoucher, which also fills holes, and its critic."""
