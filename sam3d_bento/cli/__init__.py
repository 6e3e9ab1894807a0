"""The command `sam3d-bento` and its subcommands."""
