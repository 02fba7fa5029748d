"""The subcommands of `frr`, one file each; heavy libraries are imported where they are used."""
