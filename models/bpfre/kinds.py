"""What can be wrong with natural skin: the one list, in the order of amounts."""

KINDS = ("spots", "redness", "lines", "shine", "unevenness")
