"""The stages of training: for each network its settings and its losses."""
