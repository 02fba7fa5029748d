"""The web page of `frr app` and of a Space: restore and retouch photos in a browser."""
