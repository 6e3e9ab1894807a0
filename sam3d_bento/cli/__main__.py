"""Run the command `sam3d-bento` as `python -m sam3d_bento.cli` where it is not installed, as in the image."""

from sam3d_bento.cli.main import main

main()
