"""The operations of MoFRR, in the order of the router's outputs; each has its expert.

This is the one declaration of them: simulator, training and the pipeline's parts follow it.
"""

OPERATIONS = ("whitening", "smoothing", "face_slimming", "eye_enlarging")
