"""The operations of MoFRR, in the order of the router's outputs; each has its expert.

This is the one list of them: pipeline, nodes, simulator, training and all words shown to people
follow it. Another operation is another line here.
"""

LABELS = {
    "whitening": "skin whitening",
    "smoothing": "skin smoothing",
    "face_slimming": "face slimming",
    "eye_enlarging": "eye enlarging",
}
"""What each operation is called, in words, by its name in code, configs and files."""

OPERATIONS = tuple(LABELS)


def label(name: str) -> str:
    """An operation in words; one that is not in the list is named by its own name."""
    return LABELS.get(name, name.replace("_", " "))
