"""MoFRR: a retouched photo in, the photo before retouching out."""
