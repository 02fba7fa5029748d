"""Photos as arrays, faces on them, tiles of them, drawings from them, and how close two are."""
